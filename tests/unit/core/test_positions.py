"""Average-cost accounting against cash flows counted independently."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.core import memory
from engine.core.positions import apply_fill, hold, unrealised, worst_position
from engine.core.state import POSITION, STATE

fills = st.lists(st.tuples(st.sampled_from([-1, 1]), st.integers(1, 2_000_000), st.integers(1, 10_000)), max_size=40)


def flat() -> np.void:
    return np.zeros(1, POSITION)[0]


@given(fills, st.integers(1, 2_000_000))
def test_profit_is_cash_received_plus_what_is_held_at_the_mark_to_the_last_unit(sequence, mark):
    position, cash, held, shares = flat(), 0, 0, 0
    for side, price, qty in sequence:
        apply_fill(position, side, price, qty, 30)
        cash -= side * price * qty
        held += side * qty
        shares += qty
    assert int(position["position"]) == held
    assert int(position["realised"]) + unrealised(position, mark) == cash + held * mark
    assert int(position["fees"]) == 30 * shares
    if held == 0:
        assert int(position["cost"]) == 0


def test_a_worked_example_of_average_cost():
    """Buy 100 at 10 and 100 at 12, sell 150 at 13: average cost 11, realised 150 * 2 = 300 dollars."""
    position = flat()
    for side, price, qty in [(1, 100_000, 100), (1, 120_000, 100), (-1, 130_000, 150)]:
        apply_fill(position, side, price, qty, 0)
    assert int(position["realised"]) == 300 * 10_000
    assert int(position["cost"]) == 50 * 110_000
    apply_fill(position, -1, 90_000, 80, 0)  # through zero: 50 closed at a loss of 2, 30 short at 9
    assert int(position["position"]) == -30
    assert int(position["realised"]) == (300 - 100) * 10_000
    assert int(position["cost"]) == -30 * 90_000


def test_buys_and_sells_that_work_are_never_netted():
    state = memory.zeros(STATE)[0]
    position = state["positions"][3][7]
    position["position"] = 10
    hold(state, 3, 7, 1, 100)
    hold(state, 3, 7, -1, 70)
    assert worst_position(position, 1, 5) == 115
    assert worst_position(position, -1, 5) == 65
