"""The compiled ITCH decoder against a plain one that goes through the protocol structures."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.events import EVENT, Flag, Kind, Session, ShortSale, TradingStatus
from engine.protocols import feed as feeds
from engine.protocols import itch
from engine.protocols.itch_events import decode_block
from engine.protocols.layout import WireError
from engine.protocols.moldudp64 import frame

SYMBOLS = ["AAPL", "GOOG", "MSFT"]
DATE = 20130102
MIDNIGHT = int(datetime(2013, 1, 2, tzinfo=timezone(timedelta(hours=-5))).timestamp()) * 10**9
LOCATES = {11: "GOOG", 12: "AAPL", 13: "IBM"}


def directory(locate: int, symbol: str) -> itch.StockDirectory:
    return itch.StockDirectory(locate, 0, 1, symbol, "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N")


START = [itch.SystemEvent(0, 0, 0, "O"), *(directory(locate, symbol) for locate, symbol in LOCATES.items())]


def decode(raw: bytes, capacity: int = 256, ts_recv: int = 5) -> tuple[np.ndarray, np.record]:
    """Events and the feed record of a block, decoded into a buffer that was full of ones."""
    out = np.frombuffer(b"\xff" * 64 * capacity, EVENT).copy()
    feed = feeds.new_feed(DATE, venue=3)
    feed["ts_recv"] = ts_recv
    content = np.frombuffer(raw, np.uint8)
    count = decode_block(content, 0, len(raw), feed, feeds.new_locate_map(), feeds.symbol_keys(SYMBOLS), out)
    return out[:count], feed


def block(*messages: itch.ItchMessage) -> bytes:
    return frame(itch.encode(message) for message in messages)


def decoded(*messages: itch.ItchMessage) -> np.ndarray:
    """Events of messages that follow the day's directory."""
    return decode(block(*START, *messages))[0][1:]


def plain(message: itch.ItchMessage) -> dict[str, int] | None:
    """The event that a message should make, written down field by field."""
    side = {"B": 1, "S": -1}
    match message:
        case itch.AddOrder() | itch.AddOrderMpid():
            return {
                "kind": Kind.ADD,
                "side": side[message.side],
                "order_id": message.order_reference_number,
                "price": message.price,
                "qty": message.shares,
            }
        case itch.OrderExecuted(order_reference_number=ref, executed_shares=qty, match_number=match):
            return {"kind": Kind.EXECUTE, "order_id": ref, "qty": qty, "ref": match}
        case itch.OrderExecutedWithPrice():
            return {
                "kind": Kind.EXECUTE,
                "order_id": message.order_reference_number,
                "price": message.execution_price,
                "qty": message.executed_shares,
                "ref": message.match_number,
                "flags": 1 if message.printable == "N" else 0,
            }
        case itch.OrderCancel(order_reference_number=ref, cancelled_shares=qty):
            return {"kind": Kind.REDUCE, "order_id": ref, "qty": qty}
        case itch.OrderDelete(order_reference_number=ref):
            return {"kind": Kind.DELETE, "order_id": ref}
        case itch.OrderReplace():
            return {
                "kind": Kind.REPLACE,
                "order_id": message.new_order_reference_number,
                "price": message.price,
                "qty": message.shares,
                "ref": message.original_order_reference_number,
            }
        case itch.Trade():
            return {
                "kind": Kind.TRADE,
                "side": side[message.side],
                "price": message.price,
                "qty": message.shares,
                "ref": message.match_number,
            }
        case itch.CrossTrade() if message.shares:
            return {
                "kind": Kind.TRADE,
                "price": message.cross_price,
                "qty": message.shares,
                "ref": message.match_number,
                "flags": 2,
            }
    return None


REFERENCES = st.integers(0, 2**63 - 1)
BOOK_MESSAGES = (
    itch.AddOrder,
    itch.AddOrderMpid,
    itch.OrderExecuted,
    itch.OrderExecutedWithPrice,
    itch.OrderCancel,
    itch.OrderDelete,
    itch.OrderReplace,
    itch.Trade,
    itch.CrossTrade,
    itch.BrokenTrade,
    itch.NetOrderImbalance,
    itch.RegShoRestriction,
)


def instances(cls: type) -> st.SearchStrategy:
    built = {}
    for name, wire in itch.LAYOUTS[ord(cls.TYPE)].fields:
        if wire.form == "int":
            built[name] = REFERENCES if wire.size == 8 else st.integers(0, (1 << 8 * wire.size) - 1)
        elif wire.form == "int48":
            built[name] = st.integers(0, 86_399_999_999_999)
        else:
            built[name] = st.sampled_from("BS") if name == "side" else st.sampled_from("YN")
    built["stock_locate"] = st.sampled_from([*LOCATES, 99])
    return st.builds(cls, **built)


@given(st.lists(st.one_of([instances(cls) for cls in BOOK_MESSAGES]), max_size=30))
def test_the_compiled_decoder_makes_the_events_that_the_specification_implies(messages: list) -> None:
    events = decoded(*messages)
    wanted = []
    for message in messages:
        fields = plain(message)
        symbol = LOCATES.get(message.stock_locate)
        if fields is not None and symbol in SYMBOLS:
            row = np.zeros(1, EVENT)[0]
            row["ts_event"], row["ts_recv"], row["venue"] = MIDNIGHT + message.timestamp, 5, 3
            row["instrument"] = SYMBOLS.index(symbol)
            for name, value in fields.items():
                row[name] = value
            wanted.append(row.tobytes())
    assert [event.tobytes() for event in events] == wanted


def test_system_events_carry_the_session_and_the_date() -> None:
    events, _ = decode(block(*(itch.SystemEvent(0, 0, 7, code) for code in "OSQMEC")))
    assert events["code"].tolist() == [int(phase) for phase in Session]
    assert set(events["date"].tolist()) == {DATE}
    assert set(events["instrument"].tolist()) == {-1}


@pytest.mark.parametrize(
    ("letter", "status"),
    [
        ("H", TradingStatus.HALTED),
        ("P", TradingStatus.PAUSED),
        ("Q", TradingStatus.QUOTATION_ONLY),
        ("T", TradingStatus.TRADING),
    ],
)
def test_trading_actions_become_status(letter: str, status: TradingStatus) -> None:
    (event,) = decoded(itch.StockTradingAction(11, 0, 0, "GOOG", letter, " ", "T1"))
    assert (event["kind"], event["instrument"], event["code"], event["flags"]) == (Kind.STATUS, 1, status, 0)


def test_an_operational_halt_of_this_market_is_a_flagged_status() -> None:
    (event,) = decoded(
        itch.OperationalHalt(11, 0, 0, "GOOG", "B", "H"), itch.OperationalHalt(11, 0, 0, "GOOG", "Q", "H")
    )
    assert (event["kind"], event["code"], event["flags"]) == (Kind.STATUS, TradingStatus.HALTED, 4)


@pytest.mark.parametrize(("letter", "restriction"), list(zip("012", ShortSale, strict=True)))
def test_a_reg_sho_message_is_a_status_of_short_sales(letter: str, restriction: ShortSale) -> None:
    (row,) = decoded(itch.RegShoRestriction(11, 0, 7, "GOOG", letter))
    assert (row["kind"], row["code"], row["flags"]) == (Kind.STATUS, restriction, Flag.SHORT_SALE)


def test_a_new_day_forgets_the_locates_of_the_day_before() -> None:
    order = itch.OrderDelete(11, 0, 0, 1)
    events, feed = decode(block(*START, order, itch.SystemEvent(0, 0, 0, "O"), order, directory(11, "MSFT"), order))
    deletes = events[events["kind"] == Kind.DELETE]
    assert deletes["instrument"].tolist() == [1, 2]
    assert feed["unsubscribed"] == 1


def test_a_directory_that_gives_a_locate_or_a_symbol_away_again_is_counted_and_changes_nothing() -> None:
    """GOOG is 11, IBM (13) is not ours: neither another locate for GOOG nor another symbol for 11 may pass."""
    wrong = [directory(14, "GOOG"), directory(11, "MSFT"), directory(11, "IBM"), directory(13, "GOOG")]
    repeated = [directory(11, "GOOG"), directory(13, "IBM"), directory(15, "MSFT")]
    orders = [itch.OrderDelete(locate, 0, 0, 1) for locate in (11, 13, 14, 15)]
    events, feed = decode(block(*START, *wrong, *repeated, *orders))
    assert events["instrument"].tolist() == [-1, 1, 2]
    assert feed["remapped"] == len(wrong)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\0\1?", "unknown_type"),
        (b"\0\0", "wrong_length"),
        (b"\0\2DD", "wrong_length"),
        (b"\0", "truncated"),
        (b"\0\5abc", "truncated"),
        (frame([itch.encode(itch.SystemEvent(0, 0, 0, "?"))]), "bad_field"),
        (frame([itch.encode(itch.AddOrder(11, 0, 0, 1, "?", 1, "GOOG", 1))]), "bad_field"),
        (frame([itch.encode(itch.Trade(11, 0, 0, 1, "?", 1, "GOOG", 1, 1))]), "bad_field"),
        (frame([itch.encode(itch.StockTradingAction(11, 0, 0, "GOOG", "?", " ", ""))]), "bad_field"),
        (frame([itch.encode(itch.RegShoRestriction(11, 0, 0, "GOOG", "3"))]), "bad_field"),
    ],
)
def test_bad_messages_are_counted_by_reason_and_skipped(raw: bytes, reason: str) -> None:
    good = block(itch.OrderDelete(11, 0, 0, 1))
    events, feed = decode(block(*START) + good + raw)
    assert len(events) == 2
    assert {name: count for name, count in feeds.counters(feed).items() if name == reason} == {reason: 1}
    if reason != "truncated":
        assert len(decode(block(*START) + raw + good)[0]) == 2


def test_a_full_buffer_stops_where_decoding_can_go_on() -> None:
    raw = np.frombuffer(block(*START, *(itch.OrderDelete(11, 0, 0, n) for n in range(10))), np.uint8)
    feed, locate_map, symbols = feeds.new_feed(DATE), feeds.new_locate_map(), feeds.symbol_keys(SYMBOLS)
    out, position, ids = np.zeros(4, EVENT), 0, []
    while position < len(raw):
        count = decode_block(raw, position, len(raw), feed, locate_map, symbols, out)
        ids += out[:count][out[:count]["kind"] == Kind.DELETE]["order_id"].tolist()
        position = int(feed["position"])
    assert ids == list(range(10))


@given(st.data())
def test_mutated_blocks_crash_nothing_and_every_message_is_accounted_for(data: st.DataObject) -> None:
    raw = bytearray(block(*START, *data.draw(st.lists(instances(itch.AddOrder), max_size=10))))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(raw)))
    _, feed = decode(bytes(raw[:cut]), capacity=2_000)
    parts = feeds.counters(feed)
    assert feed["position"] == cut
    reasons = ("events", "unsubscribed", "no_event", "remapped", "unknown_type", "wrong_length", "bad_field")
    assert parts["messages"] == sum(parts[reason] for reason in reasons)


def test_midnight_follows_new_york_over_daylight_saving() -> None:
    # 2013-01-02 is UTC-5, 2013-07-02 is UTC-4.
    assert feeds.midnight_ns(20130102) == MIDNIGHT
    assert feeds.midnight_ns(20130702) == int(datetime(2013, 7, 2, 4, tzinfo=UTC).timestamp()) * 10**9


def test_a_date_that_is_none_and_a_symbol_that_does_not_fit_are_refused() -> None:
    with pytest.raises(WireError, match="bad_field"):
        feeds.new_feed(20131301)
    with pytest.raises(WireError, match="out_of_range"):
        feeds.symbol_keys(["NINELETTR"])
