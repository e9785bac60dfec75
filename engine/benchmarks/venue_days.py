"""Trading days on four venues for the router's benchmark: three that display (0, 1, 2), and a dark midpoint (3).

*The real day*: GOOG on 2012-06-21, one venue's book of ten levels (LOBSTER's sample as an ITCH file), split by rule: an
order and all that becomes of it belongs to the venue that its order id draws with the seed, 50, 30 and 20 of 100.
Prices, times, sizes and the consolidated book stay what they were.

*The simulated day*: three books of the simulated exchange's own agents (``engine.simulation.flow``) around one
fundamental price. The agents act each 100 ms; what a venue's agents do then happens within a millisecond, at a moment
that is drawn for each venue, so that news reaches venues one after the other.

*The dark venue* knows of an interest at the midpoint for up to INTEREST_US before each execution that betrays one: on
the real day each execution of a hidden order, on the side that its price tells (above the middle a resting sell), for
half of them, drawn by match number; on the simulated day, where nothing is hidden, for a quarter of all executions, on
the resting order's side. Its size is that of the execution, how long it stood before is drawn evenly.

Every draw is `random_bits` of the seed and a number that the event has: the same seed gives the same days.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.core import books, memory
from engine.core.clock import midnight_ns
from engine.core.counter_random import random_below
from engine.core.events import EVENT, Kind
from engine.errors import BadInput
from engine.protocols import binaryfile
from engine.protocols.feed import new_feed, new_locate_map, symbol_keys
from engine.protocols.itch_events import decode_whole
from engine.simulation import flow
from engine.simulation.matching_records import DELETED, EXECUTED, REDUCED, RESTED, matching_state, report_buffer

LIT, DARK, VENUES = 3, 3, 4
SHARES_OF_100 = (50, 80)  # where the second and the third venue begin
BOOKS = books.books_dtype(instruments=VENUES, buckets=1 << 14, far_blocks=4_000)
INTEREST_US = 10_000_000
HIDDEN_AT_MIDPOINT, EXECUTED_WITH_INTEREST = 50, 25  # of 100
REAL_DATE = 20120621
STEPS, STEP_NS, NEWS_NS, MOMENT_NS = 234_000, 100_000_000, 1_000_000, 1_000
OPENS_AFTER = 34_200_000_000_000  # ns after midnight: 9:30
SIMULATED_OPEN, SIMULATED_CLOSE, SIMULATED_DEVIATION = 500_000.0, 503_000.0, 0.015  # 1/10,000; of the log price
THRESHOLD_SHARE, ACTIVITY = 0.02, 2_000.0  # of flow: 10,000 noise trades a venue and day
ADD, EXECUTE, REDUCE, DELETE = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.REDUCE), int(Kind.DELETE)
REPLACE, TRADE = int(Kind.REPLACE), int(Kind.TRADE)

INTEREST = np.dtype([("begins", "<i8"), ("ends", "<i8"), ("side", "<i8"), ("qty", "<i8")])


class VenueDay(NamedTuple):
    """``events`` EVENT[n], ``instrument`` the venue, in the order of ``ts_event``; ``interests`` INTEREST[m], of
    ``begins``."""

    name: str
    events: NDArray[np.void]
    interests: NDArray[np.void]


def real_day(path: Path, seed: int) -> VenueDay:
    """Raises BadInput for a file without book messages, or with replaces, which would change venues."""
    content = binaryfile.load(path)
    events = np.zeros(len(content) // 20, EVENT)
    count = decode_whole(content, 0, len(content), new_feed(REAL_DATE), new_locate_map(), symbol_keys(["GOOG"]), events)
    events = events[:count]
    if (events["kind"] == REPLACE).any() or not (events["kind"] == ADD).any():
        raise BadInput("bad_day", "input", path, "a GOOG day of adds, executions, reductions and deletions")
    interests = np.zeros(count, INTEREST)
    found = split_over_venues(events, memory.zeros(BOOKS), seed, interests)
    keep = (events["kind"] >= ADD) & (events["kind"] <= DELETE)
    return VenueDay("goog_2012_06_21", events[keep], _in_order(interests[:found]))


@njit(cache=True)
def venue_of(order_id, seed):
    drawn = random_below(seed, order_id, 100)
    return (drawn >= SHARES_OF_100[0]) + (drawn >= SHARES_OF_100[1])


@njit(cache=True)
def split_over_venues(events, book, seed, interests):
    """Gives each book event its venue, and collects interests from hidden executions; returns how many."""
    found = 0
    for index in range(len(events)):
        event = events[index]
        if ADD <= event.kind <= DELETE:
            books.apply(book[0], event)
            event.instrument = venue_of(event.order_id, seed)
        elif event.kind == TRADE and random_below(seed, event.ref, 100) < HIDDEN_AT_MIDPOINT:
            bid, _ = books.touch(book[0], 0, 0)
            ask, _ = books.touch(book[0], 0, 1)
            above = 2 * event.price - bid - ask
            if bid and ask and above:
                _note_interest(interests[found], event.ts_event, -1 if above > 0 else 1, event.qty, seed, event.ref)
                found += 1
    return found


@njit(cache=True, inline="always")
def _note_interest(interest, executed_at, side, qty, seed, number):
    interest.begins = executed_at - random_below(seed + 1, number, INTEREST_US) * 1_000
    interest.ends = executed_at
    interest.side = side
    interest.qty = qty


def simulated_day(seed: int) -> VenueDay:
    crowd = flow.flow_state(LIT, seed, ACTIVITY)
    opens, closes = np.full(LIT, SIMULATED_OPEN), np.full(LIT, SIMULATED_CLOSE)
    flow.start_day(crowd, opens, closes, np.full(LIT, SIMULATED_DEVIATION), THRESHOLD_SHARE)
    events, interests = np.zeros(4_000_000, EVENT), np.zeros(1_000_000, INTEREST)
    first = midnight_ns(REAL_DATE) + OPENS_AFTER
    reports = report_buffer()
    state = matching_state(LIT)
    count, found = _simulate(state, crowd, reports, events, interests, first, seed)
    events = events[:count]
    return VenueDay("simulated", events[np.argsort(events["ts_event"], kind="stable")], _in_order(interests[:found]))


@njit(cache=True)
def _simulate(state, crowd, reports, events, interests, first, seed):
    """All steps of the agents; returns (events, interests) written."""
    count = found = 0
    for step in range(STEPS):
        for venue in range(1, LIT):
            crowd.agents[venue].fundamental = crowd.agents[0].fundamental
        made = flow.step(state, crowd, step / STEPS, (step + 1) / STEPS, reports)
        for index in range(made):
            report = reports[index]
            news = random_below(seed, step * LIT + report.instrument + 1, NEWS_NS)
            when = first + step * STEP_NS + news + index * MOMENT_NS
            if not _write_event(events[count], report, when):
                continue
            count += 1
            number = report.match_number
            if report.kind == EXECUTED and random_below(seed, number, 100) < EXECUTED_WITH_INTEREST:
                _note_interest(interests[found], when, report.side, report.qty, seed, number)
                found += 1
    return count, found


@njit(cache=True)
def _write_event(event, report, when):
    """The book event that a report of the matching engine means; False when it means none."""
    kind = report.kind
    if kind == RESTED:
        event.kind = ADD
    elif kind == EXECUTED:
        event.kind = EXECUTE
    elif kind == REDUCED:
        event.kind = REDUCE
    elif kind == DELETED:
        event.kind = DELETE
    else:
        return False
    event.ts_event = when
    event.instrument = report.instrument
    event.side = report.side
    event.order_id = report.reference
    event.price = report.price
    event.qty = report.qty
    return True


def _in_order(interests: NDArray[np.void]) -> NDArray[np.void]:
    return interests[np.argsort(interests["begins"], kind="stable")]
