"""The crowd: where prices begin and end, what makers do, and that nothing but the seed decides."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.simulation import flow, matching_records, order_book
from engine.simulation.matching import enter_order
from engine.simulation.matching_records import IMMEDIATE, NewOrder

SYMBOLS = 6
CLOSES = np.array([12_3400.0, 55_5500.0, 101_0000.0, 250_2500.0, 2_5000.0, 0.0])  # the last one does not trade
OPENS = np.array([12_1000.0, 56_0000.0, 100_0000.0, 250_0000.0, 2_4800.0, 0.0])
STEPS = 36


def new_market(seed: int = 3, share: float = 0.3) -> SimpleNamespace:
    found = SimpleNamespace(
        books=matching_records.matching_state(SYMBOLS),
        crowd=flow.flow_state(SYMBOLS, seed),
        reports=matching_records.report_buffer(),
        history=[],
    )
    flow.start_day(found.crowd, OPENS, CLOSES, np.full(SYMBOLS, 0.013), share)
    return found


def act(market: SimpleNamespace, before: float, after: float) -> np.ndarray:
    n = flow.step(market.books, market.crowd, before, after, market.reports)
    rows = market.reports[:n].copy()
    market.history.append(rows)
    return rows


def whole_day(seed: int = 3) -> SimpleNamespace:
    market = new_market(seed)
    for step in range(STEPS + 1):
        act(market, max(step - 1, 0) / STEPS, step / STEPS)
    return market


def touch(market: SimpleNamespace, instrument: int) -> tuple[int, int]:
    return order_book.best(market.books, instrument, 1), order_book.best(market.books, instrument, -1)


def trades(market: SimpleNamespace) -> np.ndarray:
    rows = np.concatenate(market.history)
    return rows[rows["kind"] == matching_records.EXECUTED]


def test_makers_open_the_market_around_the_opening_price():
    market = new_market()
    act(market, 0.0, 0.0)
    for instrument in range(5):
        bid, ask = touch(market, instrument)
        assert bid < OPENS[instrument] < ask
        assert ask - bid <= max(OPENS[instrument] * 0.002, 3 * flow.TICK)


def test_levels_hold_between_nine_and_fifty_thousand_of_currency():
    market = new_market()
    rows = act(market, 0.0, 0.0)
    notional = [row["price"] * row["qty"] / 10_000 for row in rows if row["kind"] == matching_records.RESTED]
    assert len(notional) == 5 * 2 * flow.LADDER
    assert 8_000 < min(notional)
    assert max(notional) < 50_000


def test_day_ends_around_the_real_close_and_prints_there():
    market = whole_day()
    for instrument in range(5):
        bid, ask = touch(market, instrument)
        spread = max(CLOSES[instrument] * 0.0005, 2 * flow.TICK)
        assert bid - spread <= CLOSES[instrument] <= ask + spread
        prints = trades(market)[trades(market)["instrument"] == instrument]
        assert prints["price"][-1] == pytest.approx(CLOSES[instrument], abs=spread)


def test_symbol_without_a_close_is_not_quoted():
    market = whole_day()
    assert touch(market, 5) == (0, 0)
    assert 5 not in np.concatenate(market.history)["instrument"]


def test_book_is_never_crossed_or_locked():
    market = new_market()
    for step in range(STEPS + 1):
        act(market, max(step - 1, 0) / STEPS, step / STEPS)
        assert all(bid < ask for bid, ask in (touch(market, instrument) for instrument in range(5)))


def test_prices_are_whole_ticks():
    rows = np.concatenate(whole_day().history)
    assert not (rows["price"] % flow.TICK).any()


def test_same_seed_gives_the_same_market_and_another_seed_another():
    days = [np.concatenate(whole_day(seed).history) for seed in (3, 3, 4)]
    assert days[0].tobytes() == days[1].tobytes()
    assert days[0].tobytes() != days[2].tobytes()


def test_fundamental_wanders_as_much_as_it_is_told_to():
    market = new_market()
    flow.start_day(market.crowd, OPENS, OPENS, np.full(SYMBOLS, 0.013), 0.3)
    middles = []
    for _ in range(400):
        flow.start_day(market.crowd, OPENS, OPENS, np.full(SYMBOLS, 0.013), 0.3)
        flow.expire_all(market.books, market.crowd, market.reports)
        act(market, 0.0, 0.5)
        middles += list(market.crowd["agents"]["fundamental"][:5] - np.log(OPENS[:5]))
    # A Brownian bridge between equal ends has variance s2 * t * (1 - t) = s2 / 4 in the middle.
    assert np.std(middles) == pytest.approx(0.013 / 2, rel=0.08)


def test_maker_leans_against_its_inventory_and_fills_levels_that_were_taken():
    market = new_market(share=50.0)  # never moves for the fundamental's sake
    act(market, 0.0, 0.0)
    ask = touch(market, 2)[1]
    sweep = NewOrder(2, 1, ask, 10_000, time_in_force=IMMEDIATE, owner=1, tag=1)
    n = enter_order(market.books, sweep, market.reports)
    flow.absorb(market.crowd, market.reports, 0, n)
    assert touch(market, 2)[1] > ask
    assert market.crowd["agents"]["inventory"][2] < 0
    for step in range(1, 15):
        act(market, step * 1e-6, (step + 1) * 1e-6)
    assert touch(market, 2)[1] == ask


def test_own_order_in_the_way_of_the_fundamental_is_traded_with():
    market = new_market()
    act(market, 0.0, 0.0)
    bid, ask = touch(market, 3)
    enter_order(market.books, NewOrder(3, 1, bid + flow.TICK, 50, owner=1, tag=77), market.reports)
    market.crowd["agents"]["fundamental"][3] = np.log(bid * 0.99)
    market.crowd["agents"]["close"][3] = np.log(bid * 0.99)
    market.crowd["agents"]["variance"][3] = 0.0
    rows = np.concatenate([act(market, 0.1 + step / 100, 0.11 + step / 100) for step in range(20)])
    mine = rows[(rows["owner"] == 1) & (rows["kind"] == matching_records.EXECUTED)]
    assert mine["qty"].sum() == 50
    assert set(mine["price"]) == {bid + flow.TICK}


def test_end_of_day_leaves_no_order_behind():
    market = whole_day()
    n = flow.expire_all(market.books, market.crowd, market.reports)
    assert n > 0
    assert int(market.books["resting"]) == 0
    assert not market.crowd["agents"]["ladder"].any()
    assert not market.crowd["agents"]["noise"].any()
