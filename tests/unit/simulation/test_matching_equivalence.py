"""Random order streams through the compiled engine and the plain reference: the same reports, the same book."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from matching_engines import BUY, SELL, CompiledMatching

from engine.simulation.matching_records import EVERYTHING, NewOrder, OrderKind, Phase, Prevention, TimeInForce
from engine.simulation.reference import ReferenceMatching

TICK = 2
PRICES = st.integers(495, 505).map(lambda ticks: ticks * TICK)
QTY = st.integers(1, 40)
SIDES = st.sampled_from([BUY, SELL])
CHANCE = st.integers(0, 9)


@st.composite
def orders(draw) -> NewOrder:
    """Mostly orders that mean something; now and then fields together that do not."""
    kind = draw(st.sampled_from([OrderKind.LIMIT] * 6 + [OrderKind.MIDPOINT] * 2 + [OrderKind.MARKET]))
    day = kind is not OrderKind.MARKET
    other = [TimeInForce.IMMEDIATE, TimeInForce.FILL_OR_KILL, TimeInForce.OPENING, TimeInForce.CLOSING]
    in_force = draw(st.sampled_from([TimeInForce.DAY] * 6 * day + other))
    qty = draw(QTY)
    display = draw(st.sampled_from([EVERYTHING, EVERYTHING, 0, 0, 3, 7]))
    has_minimum = draw(CHANCE) < 3 and (display == 0 or in_force is TimeInForce.IMMEDIATE or kind is OrderKind.MIDPOINT)
    return NewOrder(
        instrument=draw(st.integers(0, 1)),
        side=draw(SIDES),
        price=draw(PRICES) if kind is OrderKind.LIMIT or draw(st.booleans()) else 0,
        qty=qty,
        kind=kind,
        time_in_force=in_force,
        display=display,
        min_qty=draw(st.integers(1, qty)) if has_minimum else 0,
        post_only=in_force is TimeInForce.DAY and draw(CHANCE) == 0,
        group=draw(st.sampled_from([0, 0, 1, 2])),
        prevention=draw(st.sampled_from(list(Prevention))),
    )


CALLS = st.one_of(
    st.tuples(st.just("enter"), orders()),
    st.tuples(st.just("enter"), orders()),
    st.tuples(st.just("enter"), orders()),
    st.tuples(st.just("reduce"), st.integers(1, 60), st.integers(0, 20)),
    st.tuples(st.just("set_phase"), st.just(0), st.sampled_from([Phase.COLLECTING, Phase.COLLECTING, Phase.HALTED])),
    st.tuples(
        st.just("uncross"),
        st.integers(0, 1),
        st.sampled_from([TimeInForce.OPENING, TimeInForce.CLOSING]),
        st.sampled_from([0, 500 * TICK, 503 * TICK]),
    ),
)


def run_both(calls: list[tuple], collar: int = 0) -> None:
    compiled, plain = CompiledMatching(TICK, collar), ReferenceMatching(TICK, collar)
    for call, *arguments in calls:
        if call == "uncross":
            instrument, auction, reference = arguments
            prices = [engine.cross_price(instrument, auction, reference) for engine in (compiled, plain)]
            assert prices[0] == prices[1]
        assert getattr(compiled, call)(*arguments) == getattr(plain, call)(*arguments)
        assert compiled.resting_orders() == plain.resting_orders()
    for instrument in range(2):
        assert compiled.delete_all(instrument) == plain.delete_all(instrument)
    assert int(compiled.state["resting"]) == 0
    assert not compiled.state["depth"].any()
    assert not compiled.state["pegged"].any()


@settings(max_examples=300, deadline=None)
@given(st.lists(CALLS, max_size=50), st.sampled_from([0, 0, 30]))
@example([("enter", NewOrder(0, BUY, 1000, 1))], 0)
def test_compiled_engine_equals_the_reference_report_by_report(calls: list[tuple], collar: int):
    run_both(calls, collar)


@settings(max_examples=40, deadline=None)
@given(st.lists(CALLS, min_size=90, max_size=140), st.sampled_from([0, 30]))
def test_full_books_of_both_engines_stay_equal(calls: list[tuple], collar: int):
    run_both(calls, collar)
