"""Orders to OUCH bytes and OUCH reports to events, against the protocol structures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.events import EVENT, PEGGED, POST_ONLY, Kind, TimeInForce
from engine.core.limit_names import MARK_SHIFT, Mark
from engine.protocols import feed as feeds
from engine.protocols import ouch
from engine.protocols.ouch_events import MAX_ORDER_BYTES, decode_report, encode_order, firm_key

SYMBOLS = ["AAPL", "BRK.B", "GOOG"]
KEYS = feeds.symbol_keys(SYMBOLS)
DATE = 20130102


def event(**fields: int) -> np.ndarray:
    row = np.zeros(1, EVENT)
    for name, value in fields.items():
        row[0][name] = value
    return row


def encoded(row: np.ndarray) -> bytes:
    out = np.full(MAX_ORDER_BYTES + 8, 0xEE, np.uint8)
    size = encode_order(row, 0, KEYS, firm_key("HELIO1"), out, 4)
    assert set(out[:4]) == set(out[4 + size :]) == {0xEE}
    return out[4 : 4 + size].tobytes()


def decoded(raw: bytes, ts_recv: int = 9) -> tuple[np.ndarray | None, np.record]:
    feed = feeds.new_feed(DATE, venue=2)
    feed["ts_recv"] = ts_recv
    row = np.frombuffer(b"\xff" * 64, EVENT).copy()
    made = decode_report(np.frombuffer(b"??" + raw, np.uint8), 2, 2 + len(raw), feed, KEYS, row, 0)
    return (row if made else None), feed


@given(
    st.integers(1, 2**32 - 1),
    st.integers(0, 2),
    st.sampled_from([1, -1]),
    st.integers(1, 10**9),
    st.integers(1, 999_999),
    st.sampled_from(TimeInForce),
)
def test_a_new_order_becomes_enter_order(
    order_id: int, instrument: int, side: int, price: int, qty: int, tif: TimeInForce
) -> None:
    row = event(
        kind=Kind.ORDER_NEW, order_id=order_id, instrument=instrument, side=side, price=price, qty=qty, flags=tif
    )
    assert ouch.decode_inbound(encoded(row)) == ouch.EnterOrder(
        order_id,
        "B" if side > 0 else "S",
        qty,
        SYMBOLS[instrument],
        price,
        time_in_force="3" if tif == TimeInForce.IOC else "0",
    )


@pytest.mark.parametrize(("mark", "letter"), [(Mark.LONG, "S"), (Mark.SHORT, "T"), (Mark.SHORT_EXEMPT, "E")])
@pytest.mark.parametrize("tif", list(TimeInForce))
def test_a_sell_says_whether_it_is_long_short_or_exempt(mark: Mark, letter: str, tif: TimeInForce) -> None:
    flags = int(tif) | int(mark) << MARK_SHIFT
    row = event(kind=Kind.ORDER_NEW, order_id=1, instrument=0, side=-1, price=1, qty=1, flags=flags)
    sent = ouch.decode_inbound(encoded(row))
    assert (sent.side, sent.time_in_force) == (letter, "3" if tif == TimeInForce.IOC else "0")


@pytest.mark.parametrize(
    ("flags", "display", "in_force", "option"),
    [
        (PEGGED | TimeInForce.IOC, "N", "3", ouch.option("price_type", "M")),
        (POST_ONLY, "Y", "0", ouch.option("post_only", "P")),
    ],
)
def test_midpoint_and_post_only_orders_say_so_in_their_options(
    flags: int, display: str, in_force: str, option: ouch.Option
) -> None:
    row = event(kind=Kind.ORDER_NEW, order_id=1, instrument=0, side=1, price=100, qty=7, flags=flags)
    sent = ouch.decode_inbound(encoded(row))
    assert (sent.display, sent.time_in_force, sent.appendage) == (display, in_force, (option,))


@pytest.mark.parametrize(("flags", "appendage"), [(0, ()), (POST_ONLY, (ouch.option("post_only", "P"),))])
@pytest.mark.parametrize("mark", [Mark.LONG, Mark.SHORT])
def test_a_replace_says_whether_its_order_is_post_only_still(flags: int, appendage: ouch.Appendage, mark: Mark) -> None:
    flags |= int(mark) << MARK_SHIFT
    row = event(kind=Kind.ORDER_REPLACE, order_id=8, ref=7, price=100, qty=9, flags=flags)
    assert ouch.decode_inbound(encoded(row)) == ouch.ReplaceOrder(7, 8, 9, 100, appendage=appendage)


def test_a_cancel_becomes_cancel_order() -> None:
    row = event(kind=Kind.ORDER_CANCEL, order_id=77)
    assert encoded(row) == ouch.encode(ouch.CancelOrder(77, 0))


@pytest.mark.parametrize(("instrument", "symbol"), [(-1, ""), (0, SYMBOLS[0]), (1, SYMBOLS[1])])
def test_a_mass_cancel_names_the_firm_and_its_symbol_if_it_has_one(instrument: int, symbol: str) -> None:
    row = event(kind=Kind.MASS_CANCEL, order_id=77, instrument=instrument)
    assert encoded(row) == ouch.encode(ouch.MassCancel(77, "HELI", symbol, appendage=()))


def test_a_mass_cancel_of_an_unknown_instrument_is_not_encoded() -> None:
    assert encoded(event(kind=Kind.MASS_CANCEL, order_id=77, instrument=len(SYMBOLS))) == b""


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": int(Kind.FILL)},
        {"instrument": 3},
        {"instrument": -1},
        {"qty": 0},
        {"qty": 1_000_000},
        {"price": 0},
        {"side": 0},
        {"order_id": 0},
        {"order_id": 1 << 32},
    ],
)
def test_an_order_that_ouch_cannot_carry_is_not_encoded(wrong: dict[str, int]) -> None:
    right = {"kind": int(Kind.ORDER_NEW), "order_id": 1, "instrument": 0, "side": 1, "price": 1, "qty": 1}
    assert encoded(event(**right)) != b""
    assert encoded(event(**(right | wrong))) == b""


TIME = 34_200_000_000_001
REPORTS = [
    (
        ouch.Accepted(TIME, 5, "S", 300, "BRK.B", 1_234_500, "0", "Y", 88, "P", "N", "N", "L"),
        {"kind": Kind.ACCEPTED, "instrument": 1, "side": -1, "order_id": 5, "price": 1_234_500, "qty": 300, "ref": 88},
    ),
    (
        ouch.Accepted(TIME, 5, "B", 300, "IBM", 1, "0", "Y", 88, "P", "N", "N", "L"),
        {"kind": Kind.ACCEPTED, "instrument": -1, "side": 1, "order_id": 5, "price": 1, "qty": 300, "ref": 88},
    ),
    (
        ouch.Executed(TIME, 6, 100, 1_234_600, "R", 991, appendage=(ouch.option("user_ref_idx", 0),)),
        {
            "kind": Kind.EXECUTION,
            "instrument": -1,
            "order_id": 6,
            "price": 1_234_600,
            "qty": 100,
            "ref": 991,
            "flags": ord("R"),
        },
    ),
    (
        ouch.Canceled(TIME, 7, 50, "T"),
        {"kind": Kind.CANCELED, "instrument": -1, "order_id": 7, "qty": 50, "reason": ord("T")},
    ),
    (
        ouch.AiqCanceled(TIME, 7, 50, "Q", 40, 10_000, "R", "D"),
        {"kind": Kind.CANCELED, "instrument": -1, "order_id": 7, "qty": 50, "reason": ord("Q")},
    ),
    (ouch.Rejected(TIME, 8, 0x1D), {"kind": Kind.REJECTED, "instrument": -1, "order_id": 8, "reason": 0x1D}),
    (ouch.AccountQueryResponse(TIME, 123), {"kind": Kind.ORDER_SESSION, "instrument": -1, "code": 1, "ref": 123}),
]


@pytest.mark.parametrize(("message", "fields"), REPORTS)
def test_a_report_becomes_its_event(message: ouch.OuchMessage, fields: dict[str, int]) -> None:
    row, feed = decoded(ouch.encode(message))
    wanted = event(ts_event=feeds.midnight_ns(DATE) + TIME, ts_recv=9, venue=2, **fields)
    assert row is not None
    assert row.tobytes() == wanted.tobytes()
    assert (feed["messages"], feed["events"]) == (1, 1)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "wrong_length"),
        (b"z" * 20, "unknown_type"),
        (b"E" * 33, "wrong_length"),
        (ouch.encode(ouch.SystemEvent(TIME, "S")), "no_event"),
        (ouch.encode(ouch.CancelPending(TIME, 1)), "no_event"),
    ],
)
def test_what_makes_no_event_is_counted_by_reason(raw: bytes, reason: str) -> None:
    row, feed = decoded(raw)
    assert row is None
    assert feed[reason] == 1


@given(st.binary(max_size=80))
def test_any_bytes_are_an_event_or_counted_under_one_reason(raw: bytes) -> None:
    row, feed = decoded(raw)
    counted = sum(int(feed[name]) for name in feeds.COUNTERS if name not in ("messages", "events"))
    assert (row is not None) + counted == 1
