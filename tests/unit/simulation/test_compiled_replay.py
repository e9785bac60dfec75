"""The compiled replay venue does what the plain one does, whatever history and own orders do."""

import numpy as np
import pytest

from engine.core.events import Kind, TimeInForce
from engine.simulation.compiled_replay import ENDED, GHOSTS, TOLD, Position, apply, cancel, enter, replay_state
from engine.simulation.impact import LinearImpact, NoImpact
from engine.simulation.queue_position import ByOrder, Pessimistic, Proportional
from engine.simulation.replay_venue import Ended, Fill, Ghost, ReplayVenue

MODELS = {Position.BY_ORDER: ByOrder, Position.PESSIMISTIC: Pessimistic, Position.PROPORTIONAL: Proportional}
OWN = 1_000_000


class Both:
    """The two venues, given the same; they must say the same, and their ghosts must stand in the same places."""

    def __init__(self, position: Position, impact: int = 0) -> None:
        self.plain = ReplayVenue(MODELS[position](), LinearImpact(impact) if impact else NoImpact())
        self.states = replay_state(2, position, impact)
        self._told = np.zeros(1024, TOLD)

    def enter(self, order_id, instrument, side, price, qty, time_in_force=TimeInForce.DAY):
        expected = self.plain.enter(Ghost(order_id, instrument, side, price, qty), time_in_force)
        arguments = (order_id, instrument, side, price, qty, int(time_in_force))
        return self._compare(expected, enter(self.states, *arguments, self._told))

    def cancel(self, order_id):
        return self._compare(self.plain.cancel(order_id), cancel(self.states, order_id, self._told))

    def apply(self, instrument, kind, side, order_id, price, qty, old_id=0):
        expected = self.plain.apply(instrument, kind, side, order_id, price, qty, old_id)
        arguments = (instrument, int(kind), side, order_id, price, qty, old_id)
        return self._compare(expected, apply(self.states, *arguments, self._told))

    def _compare(self, expected, count):
        told = [self._as_told(row) for row in self._told[:count]]
        assert told == expected
        ghosts = self.states[0]["ghosts"][: int(self.states[0]["count"])]
        standing = {int(one["order_id"]): (int(one["qty"]), int(one["ahead"])) for one in ghosts}
        assert standing == {ghost.order_id: (ghost.qty, ghost.ahead) for ghost in self.plain.ghosts.values()}
        assert int(self.states[0]["book"]["resting"]) == len(self.plain.book)
        return told

    @staticmethod
    def _as_told(row):
        order_id, price, qty, flag = (int(row[name]) for name in TOLD.names)
        return Ended(order_id, qty) if flag == ENDED else Fill(order_id, price, qty, chr(flag))


@pytest.mark.parametrize("position", list(Position))
@pytest.mark.parametrize("impact", [0, 7])
@pytest.mark.parametrize("seed", range(4))
def test_both_venues_say_the_same_of_random_days(position, impact, seed):
    """600 messages of two instruments on seven prices, and own orders among them."""
    random, both = np.random.default_rng(seed), Both(position, impact)
    next_id, own, live, fills = 1, OWN, [], 0
    for _ in range(600):
        what, instrument = random.random(), int(random.integers(0, 2))
        side, qty = int(random.choice([1, -1])), int(random.integers(1, 6)) * 100
        price = 100_000 + 100 * int(random.integers(-3, 4))
        known = int(random.choice(live)) if live and random.random() < 0.95 else 999
        if what < 0.4:
            told = both.apply(instrument, Kind.ADD, side, next_id, price, qty)
            live.append(next_id)
            next_id += 1
        elif what < 0.55:
            told = both.apply(instrument, Kind.EXECUTE, 0, known, price if random.random() < 0.1 else 0, qty)
        elif what < 0.65:
            told = both.apply(instrument, Kind.REDUCE, 0, known, 0, qty)
        elif what < 0.7:
            told = both.apply(instrument, Kind.DELETE, 0, known, 0, 0)
        elif what < 0.76:
            where = both.plain.book[known].instrument if known in both.plain.book else instrument
            told = both.apply(where, Kind.REPLACE, 0, next_id, price, qty, known)
            live.append(next_id)
            next_id += 1
        elif what < 0.8:
            told = both.apply(instrument, Kind.TRADE, 0, 0, price, qty)
        elif what < 0.95:
            how = TimeInForce.IOC if random.random() < 0.4 else TimeInForce.DAY
            own += 1
            told = both.enter(own, instrument, side, price, qty, how)
        else:
            told = both.cancel(int(random.integers(OWN, own + 1)))
        fills += sum(isinstance(one, Fill) for one in told)
    assert fills > 50
    assert int(both.states[0]["dropped"]) == 0


def test_ids_that_fall_on_one_place_are_all_found_and_forgotten():
    """Every id is a multiple of the table's size."""
    both = Both(Position.BY_ORDER)
    ids = [number << 40 for number in range(1, 200)]
    for order_id in ids:
        both.apply(0, Kind.ADD, 1, order_id, 100_000, 100)
    for order_id in ids[::2] + ids[1::2]:
        both.apply(0, Kind.DELETE, 0, order_id, 0, 0)
    assert int(both.states[0]["book"]["resting"]) == 0
    assert not both.states[0]["ids"]["reference"].any()


def test_a_ghost_for_which_there_is_no_room_ends_and_is_counted():
    states, told = replay_state(1), np.zeros(8, TOLD)
    for number in range(GHOSTS):
        assert enter(states, number + 1, 0, 1, 100_000, 100, int(TimeInForce.DAY), told) == 0
    assert enter(states, GHOSTS + 1, 0, 1, 100_000, 100, int(TimeInForce.DAY), told) == 1
    assert (int(told[0]["order_id"]), int(told[0]["flag"])) == (GHOSTS + 1, ENDED)
    assert int(states[0]["dropped"]) == 1
