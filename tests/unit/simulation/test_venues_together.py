"""Several exchanges of one market in virtual time: what they display fits together, and a dark one displays nothing."""

from pathlib import Path

import pytest
from exchange_world import EPOCH, SYMBOLS, World

from engine.protocols import glimpse, itch, ouch
from engine.simulation.order_instructions import RejectReason

STEP_NS = 50_000_000
TRADED = SYMBOLS[:2]


def together(folder: Path, **options: bool) -> tuple[World, World]:
    """A leader and one that follows it."""
    leader = World(folder / "leader", seed=7, activity=5.0)
    return leader, World(folder / "other", seed=8, leader=leader.exchange, activity=5.0, **options)


def run(worlds: tuple[World, World], wall_ns: int) -> None:
    for world in worlds:
        world.run_until(wall_ns)


def peg(number: int, side: str, shares: int, symbol: str = "KO") -> ouch.EnterOrder:
    midpoint = (ouch.option("price_type", "M"),)
    return ouch.EnterOrder(number, side, shares, symbol, 90_0000, time_in_force="3", display="N", appendage=midpoint)


def test_the_touch_of_one_venue_hardly_ever_crosses_anothers(tmp_path: Path) -> None:
    worlds = together(tmp_path)
    crossed = looks = 0
    for step in range(2, 34):
        run(worlds, EPOCH + step * STEP_NS)
        for symbol in TRADED:
            bids, asks = [[world.quote(symbol, side) for world in worlds] for side in "BS"]
            looks += 1
            crossed += max(bids) >= min(asks) > 0
    assert looks == 64
    assert crossed <= 3


def test_venues_draw_sizes_and_trades_of_their_own(tmp_path: Path) -> None:
    worlds = together(tmp_path)
    run(worlds, EPOCH + 30 * STEP_NS)
    assert worlds[0].datagrams != worlds[1].datagrams


def test_a_dark_venue_tells_of_trades_and_of_nothing_that_rests(tmp_path: Path) -> None:
    worlds = together(tmp_path, dark=True)
    run(worlds, EPOCH + 30 * STEP_NS)
    (messages,) = worlds[1].market_data().values()
    kinds = {type(message) for message in messages}
    assert itch.Trade in kinds
    assert kinds <= {itch.SystemEvent, itch.StockDirectory, itch.StockTradingAction, itch.Trade}
    spin = worlds[1].exchange.snapshot()
    assert spin is not None
    assert itch.AddOrder not in {type(itch.decode(message)) for message in spin_messages(spin)}


def spin_messages(spin: glimpse.Spin) -> list[bytes]:
    return [message for message in spin.messages if message[:1] != b"G"]


def test_a_dark_venue_takes_midpoint_orders_alone(tmp_path: Path) -> None:
    worlds = together(tmp_path, dark=True)
    run(worlds, EPOCH + 8 * STEP_NS)
    (answer,) = worlds[1].send(ouch.EnterOrder(1, "B", 10, "KO", 37_0000))
    assert isinstance(answer, ouch.Rejected)
    assert answer.reason == RejectReason.INVALID_PEG_TYPE
    assert isinstance(worlds[1].send(peg(2, "B", 10))[0], ouch.Accepted)


def test_midpoint_orders_meet_in_the_middle_of_what_the_displayed_venue_quotes(tmp_path: Path) -> None:
    worlds = together(tmp_path, dark=True)
    executed: list[ouch.Executed] = []
    middles = []
    for step in range(4, 34):
        run(worlds, EPOCH + step * STEP_NS)
        middle = sum(worlds[1].quote("KO", side) for side in "BS") // 2
        answers = worlds[1].send(peg(step, "B" if step % 2 else "S", 10))
        for answer in answers:
            if isinstance(answer, ouch.Executed):
                executed.append(answer)
                middles.append(middle)
    assert executed
    assert [one.price for one in executed] == middles


@pytest.mark.parametrize("dark", [False, True])
def test_a_day_ends_with_every_order_gone(tmp_path: Path, dark: bool) -> None:
    worlds = together(tmp_path, dark=dark)
    run(worlds, worlds[0].clock.close_wall_ns(0))
    assert int(worlds[1].exchange.books["resting"]) == 0
