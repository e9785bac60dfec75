"""What a journal holds stands in the history: once, whole, and whatever became of the writer."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from live_world import DATE, blobs, new_pipeline, record, wanted

from engine.core.clock import midnight_ns
from engine.core.events import Flag, Kind, Session, Stale
from engine.core.orders import OrderState
from engine.history import open_history
from engine.history.tables import TABLES
from engine.live.history_writer import CHECKPOINT, HistoryWriter
from engine.live.journal import Reader

OPEN = midnight_ns(DATE) + 15 * 3_600_000_000_000
SECOND = 1_000_000_000
DATASET = "live"


class World:
    def __init__(self, folder) -> None:
        self.folder, self.journals = folder, [folder / "journal"]
        self.pipeline = new_pipeline(folder / "journal")
        self.history = open_history(folder / "history")
        self.ts = OPEN
        blobs(self.pipeline)

    def take(self, kind, instrument=-1, side=0, **payload):
        self.ts += SECOND
        return self.pipeline.take(record(kind, instrument, side, ts=self.ts, **payload))

    def day(self, date=DATE):
        """A session: two quotes, a trade at the touch, one within, 300 KO bought, a close."""
        self.ts = midnight_ns(date) + 15 * 3_600_000_000_000
        self.take(Kind.ORDER_SESSION, code=1, ref=1)
        self.take(Kind.SESSION, code=Session.START_OF_MESSAGES, date=date)
        for instrument in range(2):
            self.take(Kind.STATUS, instrument, code=3)
        self.take(Kind.SESSION, code=Session.OPEN, date=date)
        base = date % 100 * 1000
        self.take(Kind.ADD, 0, 1, order_id=base + 1, price=100_000, qty=300)
        self.take(Kind.ADD, 0, -1, order_id=base + 2, price=100_200, qty=300)
        self.take(Kind.ADD, 0, 1, order_id=base + 3, price=99_900, qty=50)  # behind the touch
        self.take(Kind.EXECUTE, 0, order_id=base + 2, price=0, qty=100, ref=base + 4)
        orders = self.take(Kind.TRADE, 0, price=100_100, qty=300, ref=base + 5)
        for order in orders[orders["kind"] == Kind.ORDER_NEW]:
            order_id = int(order["order_id"])
            self.take(Kind.ACCEPTED, 0, 1, order_id=order_id, price=100_200, qty=int(order["qty"]))
            self.take(Kind.EXECUTION, 0, 1, order_id=order_id, price=100_200, qty=100, ref=base + 6)
            self.take(Kind.EXECUTION, 0, 1, order_id=order_id, price=100_200, qty=int(order["qty"]) - 100, ref=base + 7)
        self.take(Kind.SESSION, code=Session.CLOSE, date=date)

    def writer(self) -> HistoryWriter:
        return HistoryWriter(self.history, DATASET, self.folder, lambda: self.journals)

    def rows(self, table, *columns):
        found = self.history.rows(DATASET, table)
        return [tuple(row[name] for name in columns) for row in found.to_pylist()]

    def content(self) -> dict[str, pa.Table]:
        return {table: self.history.rows(DATASET, table) for table in TABLES}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.day()
    return made


def test_quotes_are_the_touch_each_time_that_it_changed(world):
    world.writer().catch_up()
    assert world.rows("quote", "symbol", "bid", "bid_size", "ask", "ask_size") == [
        ("KO", 100_000, 300, 0, 0),
        ("KO", 100_000, 300, 100_200, 300),
        ("KO", 100_000, 300, 100_200, 200),
    ]


def test_trades_have_the_price_of_the_order_that_rested_and_who_took(world):
    world.writer().catch_up()
    assert world.rows("trade", "symbol", "price", "size", "side") == [("KO", 100_200, 100, 1), ("KO", 100_100, 300, 0)]


def test_every_message_of_the_market_is_there_with_its_journal_number(world):
    world.writer().catch_up()
    kinds = [Kind(kind).name for (kind,) in world.rows("event", "kind")]
    assert kinds == ["SESSION", "STATUS", "STATUS", "SESSION", "ADD", "ADD", "ADD", "EXECUTE", "TRADE", "SESSION"]
    reader = Reader(world.folder / "journal")
    for seq, time, kind in world.rows("event", "seq", "time", "kind"):
        (one,) = reader.read(seq - 1, 1)
        assert (int(one["kind"]), int(one["ts_recv"])) == (kind, time)


def test_orders_fills_positions_equity_and_bars_are_those_of_the_step(world):
    world.writer().catch_up()
    assert world.rows("order", "order_id", "side", "price", "size", "filled", "state") == [
        (1, 1, 100_200, 300, 0, OrderState.PENDING_NEW),
        (1, 1, 100_200, 300, 300, OrderState.FILLED),
    ]
    assert world.rows("fill", "order_id", "match", "side", "price", "size") == [
        (1, 2006, 1, 100_200, 100),
        (1, 2007, 1, 100_200, 200),
    ]
    assert [row[0] for row in world.rows("position", "position")] == [100, 300]
    assert [(row[0], row[1]) for row in world.rows("bar", "symbol", "volume")] == [("KO", 400)]
    (equity,) = world.rows("risk", "strategy", "gross")
    assert equity == (0, 300 * 100_100)


def test_a_fills_fee_is_what_the_fees_of_its_position_grew_by(tmp_path):
    made = World(tmp_path)
    made.pipeline.engine.state["fee_per_share"] = 30
    made.day()
    made.writer().catch_up()
    assert [row[0] for row in made.rows("fill", "fee")] == [100 * 30, 200 * 30]


def test_what_a_snapshot_says_is_no_news_and_forgotten_books_begin_empty(world):
    world.take(Kind.STALE, code=Stale.FORGET, date=DATE)
    world.pipeline.take(record_with(world, Flag.SNAPSHOT, order_id=77, price=100_000, qty=10))
    world.take(Kind.ADD, 0, -1, order_id=78, price=100_300, qty=5)
    before = 3
    world.writer().catch_up()
    assert world.rows("quote", "bid", "bid_size", "ask", "ask_size")[before:] == [(100_000, 10, 100_300, 5)]


def record_with(world, flag, **payload):
    world.ts += SECOND
    made = record(Kind.ADD, 0, 1, ts=world.ts, **payload)
    made["flags"] = flag
    return made


def test_written_block_by_block_as_it_happens_or_at_once_it_is_the_same(tmp_path, monkeypatch):
    at_once, bit_by_bit = World(tmp_path / "a"), World(tmp_path / "b")
    monkeypatch.setattr("engine.live.history_writer.BLOCK", 7)
    writer = bit_by_bit.writer()
    for date in (DATE, DATE + 1, DATE + 2):
        bit_by_bit.day(date)
        writer.catch_up()
    for date in (DATE, DATE + 1, DATE + 2):
        at_once.day(date)
    at_once.writer().catch_up()
    assert bit_by_bit.content() == at_once.content()


class Died(RuntimeError):
    pass


@pytest.mark.parametrize("block", [3, 10, 65_536])
def test_wherever_the_writer_dies_nothing_is_lost_or_doubled(tmp_path, monkeypatch, block):
    """It dies before its first append, before its second, and so on; each time another takes over."""
    monkeypatch.setattr("engine.live.history_writer.BLOCK", block)
    world, whole = World(tmp_path / "a"), World(tmp_path / "b")
    for date in (DATE, DATE + 1):
        world.day(date)
        whole.day(date)
    whole.writer().catch_up()
    append, left = world.history.append, 0

    def dies(*arguments, **named):
        nonlocal left
        left -= 1
        if left < 0:
            raise Died
        return append(*arguments, **named)

    monkeypatch.setattr(world.history, "append", dies)
    for lives in range(200):
        left = lives
        try:
            world.writer().catch_up()
            break
        except Died:
            continue
    else:
        pytest.fail("it never came to the end")
    assert world.content() == whole.content()


def test_a_replaced_journal_is_written_to_its_end_before_the_next_and_never_again(world, monkeypatch):
    world.writer().catch_up()
    wanted(world.pipeline, 50)
    newer = World(world.folder / "newer")
    newer.day(DATE + 1)
    world.journals = [world.folder / "journal", newer.folder / "journal"]
    world.writer().catch_up()
    assert len(world.rows("bar", "symbol")) == 2
    read = Reader.read
    monkeypatch.setattr(
        Reader, "read", lambda self, *a: pytest.fail("again") if self.directory == world.journals[0] else read(self, *a)
    )
    assert world.writer().catch_up() > 0


def test_it_begins_again_at_the_trading_day_and_not_at_the_journals_beginning(world):
    world.day(DATE + 1)
    world.writer().catch_up()
    began = world.writer()
    taken = began.catch_up()
    assert 0 < taken < Reader(world.folder / "journal").last // 2 + 5
    assert (world.folder / CHECKPOINT).exists()
    assert datetime.fromtimestamp(world.history.rows(DATASET, "bar")["time"][-1].as_py() / 1e9, UTC).day == 3
