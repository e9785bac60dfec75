"""Totals that are kept up step by step are those of adding everything up, and checks answer as the plain reference."""

import itertools
from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from limits_world import ASK, BID, DESK_OF, SYMBOLS, World, event

from engine.core import memory
from engine.core.events import Kind
from engine.core.limit_names import Level, Limit
from engine.core.orders import OrderState
from engine.core.parents import set_target
from engine.core.recount import recount_states
from engine.core.reference_limits import ReferenceLimits, Totals
from engine.core.risk_record import HOLDING_FIELDS
from engine.core.state import STATE

# Narrow enough that most limits refuse something in a few dozen random orders.
NARROW = {
    "max_order_qty": 900,
    "max_long_qty": 1_500,
    "max_short_qty": 1_200,
    "max_gross_notional": 2_500 * ASK,
    "max_net_notional": 1_800 * ASK,
    "max_concentration_notional": 1_400 * ASK,
    "max_day_loss": 3_000_000,
    "max_drawdown": 4_000_000,
    "max_from_reference_bps": 300,
    "max_duplicate_orders": 2,
    "max_orders_per_s": 15,
    "max_messages_per_s": 20,
    "max_executions": 25,
}
wants = st.tuples(st.just("want"), st.integers(0, 2), st.integers(0, 1), st.integers(-2_000, 2_000))
quotes = st.tuples(st.just("quote"), st.integers(0, 1), st.integers(-3_000, 3_000), st.integers(1, 300))
reports = st.tuples(
    st.sampled_from(["fill", "cancel", "accept", "reject", "part"]), st.integers(0, 9), st.integers(1, 800)
)
trades = st.tuples(st.just("trade"), st.integers(0, 1), st.integers(-1_000, 1_000))
clock = st.tuples(st.just("clock"), st.integers(0, 2_000_000_000))
days = st.tuples(st.just("day"), st.integers(0, 1))
steps = st.lists(st.one_of(wants, wants, quotes, trades, reports, reports, clock, days), max_size=80)


class Session:
    """Plays random intents and reports through the step and keeps what an outsider sees of them."""

    def __init__(self, level: Level) -> None:
        self.world = World(level, NARROW, fee=7)
        self.now, self.date = 1, 20130102
        self.fills: list[tuple[int, int, int, int, int]] = []  # strategy, instrument, side, price, qty
        self.orders: list[int] = []
        self.matches = itertools.count(1)

    def play(self, step: tuple) -> None:
        name, *rest = step
        state = self.world.state
        if name == "want":
            strategy, instrument, target = rest
            set_target(state, strategy, instrument, target)
            self._apply(event(Kind.STATUS, instrument, code=3))
        elif name == "quote":
            instrument, moved, spread = rest
            bid = BID + moved
            quote = {"bid": bid, "bid_size": 9, "ask": bid + spread, "ask_size": 9}
            self._apply(event(Kind.QUOTE, instrument, **quote))
        elif name == "trade":
            self._apply(event(Kind.TRADE, rest[0], price=BID + rest[1], qty=1))
        elif name == "clock":
            self.now += rest[0]
        elif name == "day":
            self.date += rest[0]
            self._apply(event(Kind.SESSION, code=1, date=self.date))
            self._apply(event(Kind.SESSION, code=3, date=self.date))
        elif self.orders:
            self._report(name, self.orders[rest[0] % len(self.orders)], rest[1])

    def _report(self, name: str, order_id: int, qty: int) -> None:
        kinds = {"fill": Kind.EXECUTION, "accept": Kind.ACCEPTED, "reject": Kind.REJECTED}
        order = self.world.state["orders"][order_id]
        qty = min(qty, max(int(order["qty"] - order["filled"]), 1)) if name != "part" else 1
        price = int(order["price"]) - 3
        self._apply(
            event(kinds.get(name, Kind.CANCELED), 0, order_id=order_id, price=price, qty=qty, ref=next(self.matches))
        )

    def _apply(self, record: np.ndarray) -> None:
        record["ts_event"] = record["ts_recv"] = self.now
        for out in self.world.engine.apply(record).copy():
            if out["kind"] == Kind.ORDER_NEW:
                self.orders = [*self.orders, int(out["order_id"])][-10:]
            elif out["kind"] == Kind.FILL:
                names = ("strategy", "instrument", "side", "price", "qty")
                self.fills.append(tuple(int(out[name]) for name in names))  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from(list(Level)))
def test_positions_are_the_sum_of_fills_and_money_is_right_to_the_last_unit(sequence, level):
    session = Session(level)
    for step in sequence:
        session.play(step)
    for strategy in range(len(DESK_OF)):
        for instrument in range(len(SYMBOLS)):
            own = session.world.state["positions"][strategy][instrument]
            mine = [fill[2:] for fill in session.fills if fill[:2] == (strategy, instrument)]
            assert int(own["position"]) == sum(side * qty for side, _, qty in mine)
            cash = -sum(side * price * qty for side, price, qty in mine)
            assert int(own["realised"]) - int(own["cost"]) == cash
            lots = session.world.state["lots"][strategy][instrument]
            held = [(int(lots["first"]) + number) % 16 for number in range(int(lots["count"]))]
            assert sum(int(lots["qty"][at]) for at in held) == int(own["position"])
            assert int(own["fifo_realised"]) - sum(int(lots["cost"][at]) for at in held) == cash
            assert int(own["fees"]) == 7 * sum(qty for _, _, qty in mine)


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from(list(Level)))
def test_totals_are_those_of_adding_everything_up(sequence, level):
    session = Session(level)
    for step in sequence:
        session.play(step)
        _compare_totals(session.world)
    fresh = memory.zeros(STATE)
    fresh[:] = session.world.engine.record
    recount_states(fresh)
    for name in ("levels", "holdings"):
        assert fresh[0][name].tobytes() == session.world.state[name].tobytes(), name
    assert (fresh[0]["securities"]["holders"] == session.world.state["securities"]["holders"]).all()


def _compare_totals(world: World) -> None:
    reference = ReferenceLimits(world.state)
    for strategy in range(len(DESK_OF)):
        for instrument in range(len(SYMBOLS)):
            for level in Level:
                row, expected = (
                    reference.row(level, strategy, instrument),
                    reference.totals(level, strategy, instrument),
                )
                kept = {field.name: int(row[field.name]) for field in fields(Totals) if field.name != "profit"}
                kept["profit"] = int(row["realised"]) - int(row["fees"]) + int(row["net"]) - int(row["cost"])
                assert Totals(**kept) == expected, (level, strategy, instrument)
    for instrument in range(len(SYMBOLS)):
        for desk in (None, 0, 1):
            members = [slot for slot, of in enumerate(DESK_OF) if desk in (None, of)]
            row = world.state["holdings"][0 if desk is None else 1 + desk][instrument]
            for name, _ in HOLDING_FIELDS:
                own = sum(int(world.state["positions"][slot][instrument][name]) for slot in members)
                assert int(row[name]) == own, (desk, name)


orders = st.tuples(
    st.integers(0, 2), st.integers(0, 1), st.sampled_from([1, -1]), st.integers(-1, 1_500), st.integers(97_000, 103_000)
)


@settings(max_examples=150, deadline=None)
@given(steps, st.lists(orders, min_size=5, max_size=20), st.sampled_from(list(Level)), st.integers(0, 2))
def test_checks_answer_as_the_plain_reference(sequence, asked, level, venue):
    session = Session(level)
    for step in sequence:
        session.play(step)
    reference = ReferenceLimits(session.world.state)
    for strategy, instrument, side, qty, price in asked:
        ours = session.world.check(side, qty, price, strategy=strategy, instrument=instrument, venue=venue)
        assert ours == reference.check(strategy, instrument, side, qty, price, venue)


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from(list(Level)))
def test_no_limit_is_ever_exceeded_counting_what_works(sequence, level):
    """Shares at every moment; money whenever an order that adds has just been sent, for marks move by themselves.
    Executions beyond an order's quantity, or after its end, are the venue's: then there is nothing to hold."""
    session = Session(level)
    state = session.world.state
    for step in sequence:
        before = len(session.fills), int(state["next_order_id"]), int(state["anomalies"])
        session.play(step)
        if int(state["anomalies"]) > before[2]:
            return
        reference = ReferenceLimits(state)
        firm = reference.under(Level.FIRM, 0, 0) if level is Level.FIRM else reference.under(level, 0, 0)
        for instrument in range(1 if level is Level.SYMBOL else 2):
            here = [held for held in firm if held.instrument == instrument]
            assert sum(held.worst(1) for held in here) <= NARROW["max_long_qty"]
            assert sum(held.worst(-1) for held in here) <= NARROW["max_short_qty"]
        order_id = int(state["next_order_id"]) - 1
        if order_id >= before[1]:
            order = state["orders"][order_id]
            assert order["state"] == OrderState.PENDING_NEW
            _check_money(reference, level, order)


def _check_money(reference: ReferenceLimits, level: Level, order: np.void) -> None:
    strategy, instrument, side = int(order["strategy"]), int(order["instrument"]), int(order["side"])
    covers = {
        Level.DESK: DESK_OF[strategy] == 0,
        Level.STRATEGY: strategy == 0,
        Level.SYMBOL: instrument == 0,
    }
    here = reference.here(level, strategy, instrument)
    own = reference.here(Level.STRATEGY, strategy, instrument)
    adds = sum(held.worst(side) for held in here) > 0
    grows = any(held.exposure == held.worst(side) for held in own)
    if not covers.get(level, True) or not adds:
        return
    totals = reference.totals(level, strategy, instrument)
    on_side = totals.buying if side > 0 else totals.selling
    assert side * totals.net + on_side <= NARROW["max_net_notional"]
    if grows:
        assert totals.gross <= NARROW["max_gross_notional"]
        assert sum(held.exposure * held.mark for held in here) <= NARROW["max_concentration_notional"]


def test_a_random_session_is_refused_by_many_limits():
    """The sessions above mean something only if they reach the limits."""
    random = np.random.default_rng(3)
    reached: set[int] = set()
    for level in [*Level] * 10:
        session = Session(level)
        for _ in range(40):
            instrument, target = int(random.integers(2)), int(random.integers(-2_000, 2_000))
            session.play(("want", int(random.integers(3)), instrument, target))
            session.play(("quote", instrument, int(random.integers(-3_000, 3_000)), 200))
            session.play(("trade", instrument, int(random.integers(-1_000, 1_000))))
            for name in ("fill", "cancel"):
                session.play((name, int(random.integers(10)), int(random.integers(1, 800))))
            session.now += 50_000_000
            side, qty, price = (
                int(random.choice([-1, 1])),
                int(random.integers(1, 1_000)),
                int(random.normal(BID, 2_000)),
            )
            where = {"strategy": int(random.integers(3)), "instrument": int(random.integers(2))}
            reached.add(session.world.check(side, qty, price, **where)[0])
    wanted = {Limit.ORDER_QTY, Limit.LONG_POSITION, Limit.SHORT_POSITION, Limit.GROSS_NOTIONAL, Limit.NET_NOTIONAL}
    wanted |= {Limit.CONCENTRATION, Limit.DAY_LOSS, Limit.EXECUTIONS, Limit.COLLAR_REFERENCE}
    assert wanted <= {Limit(number) for number in reached}
