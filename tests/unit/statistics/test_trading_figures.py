"""Executions by symbol and from flat to flat, by hand; money in 1/10,000."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.statistics.trading import Executions, by_symbol, exposure, hit_rate, holdings, turnover


def executions(rows: list[tuple[int, int, int, int, int]], fee: int = 0, spread: int = 0) -> Executions:
    """Rows of (instrument, side, shares, mid, day)."""
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    instruments, sides, shares, mids, days = columns
    return Executions(instruments, sides, mids + sides * spread, shares, shares * fee, mids, days)


def test_a_symbols_profit_is_its_cash_and_what_it_still_holds() -> None:
    done = executions([(3, 1, 100, 50_0000, 0), (3, -1, 40, 60_0000, 5), (1, -1, 10, 20_0000, 2)], fee=30, spread=100)
    short, long = by_symbol(done, np.array([0, 18_0000, 0, 55_0000]))
    assert (long.instrument, long.trades, long.position) == (3, 2, 60)
    assert long.fees == 140 * 30
    assert long.spread == 140 * 100
    assert long.profit == 40 * 10_0000 + 60 * 5_0000 - 140 * 30 - 140 * 100
    assert short.profit == 10 * 2_0000 - 10 * 30 - 10 * 100


def test_a_holding_lasts_from_flat_to_flat() -> None:
    done = executions([(0, 1, 100, 10, 1), (0, 1, 50, 12, 2), (0, -1, 100, 15, 4), (0, -1, 50, 9, 7)])
    (held,) = holdings(done)
    assert (held.side, held.entered, held.left) == (1, 1, 7)
    assert held.profit == -100 * 10 - 50 * 12 + 100 * 15 + 50 * 9


def test_what_goes_through_zero_ends_one_holding_and_begins_another() -> None:
    long, short = holdings(executions([(0, 1, 10, 100, 0), (0, -1, 25, 110, 3), (0, 1, 15, 90, 8)]))
    assert (long.side, long.entered, long.left, long.profit) == (1, 0, 3, 10 * 10)
    assert (short.side, short.entered, short.left, short.profit) == (-1, 3, 8, 15 * 20)


def test_what_is_still_held_has_not_ended() -> None:
    assert holdings(executions([(0, 1, 10, 100, 0), (0, -1, 4, 100, 1)])) == []


trade = st.tuples(st.integers(0, 2), st.sampled_from([-1, 1]), st.integers(1, 9), st.integers(1, 99), st.integers(0, 9))


@given(st.lists(trade, max_size=40))
def test_profits_of_holdings_and_of_symbols_agree_once_all_is_flat(rows: list[tuple[int, int, int, int, int]]) -> None:
    for instrument in range(3):
        position = sum(side * shares for which, side, shares, _mid, _day in rows if which == instrument)
        if position:
            rows = [*rows, (instrument, -1 if position > 0 else 1, abs(position), 50, 9)]
    done = executions(rows)
    of_symbols = sum(one.profit for one in by_symbol(done, np.zeros(3, np.int64)))
    assert sum(held.profit for held in holdings(done)) == of_symbols


def test_turnover_exposure_and_hit_rate() -> None:
    assert turnover(504.0, np.full(252, 100.0)) == pytest.approx(5.04)
    assert exposure(np.array([0.0, 50.0]), np.array([100.0, 100.0])) == {"exposure": 0.25, "time_in_market": 0.5}
    assert hit_rate(np.array([3.0, -1.0, 0.0, 2.0])) == 0.5
    assert (hit_rate(np.zeros(0)), turnover(1.0, np.zeros(0))) == (None, None)
