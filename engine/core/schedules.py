"""Execution schedules as the step runs them: how many shares of a parent should have been done by now.

A schedule is a record. Its *path* says how many shares should be done at a time: along ``curve`` (cumulative shares at
equally spaced times: TWAP, VWAP, implementation shortfall), or a share of what the market has traded (``pace``: POV).
The path is followed in *slices* of ``min_slice`` to ``max_slice`` shares. Slice k ends at

    c[k] = k * step + random part,    step the mean of the two sizes, c[0] = 0, at most the parent's quantity

and is due when the path comes to a point inside it: its middle when ``timing`` is 0, anywhere in it when that is
PPM. Both are functions of seed and k alone (``counter_random``), so a schedule keeps nothing between calls, and what is
due depends only on the time, the market's volume and what is done. Only the last slice may be smaller than the least.

Volume is what the market has traded in the instrument since the schedule's start, our own executions included, so that
a participation is a share of the volume on the tape.

A *plan* is a schedule for PLAN_SHARES shares that begins at 0; `begin_schedule` makes a parent's schedule of it.

Quantities in shares, times in ns, shares of something in parts per million (PPM). ``engine.execution.schedules``
makes these records, ``engine.execution.schedule_reference`` is the same in plain Python.
"""

import numpy as np

from engine.core.bits import highest_bit
from engine.core.compiled import njit
from engine.core.counter_random import random_below, random_bits
from engine.errors import BadInput

POINTS = 400  # intervals of a curve: a session's minutes
PPM = 1_000_000
LONGEST = 86_400_000_000_000  # ns, a day
SHORTEST = 1_000_000
MOST_SHARES = 1 << 30
LARGEST_SLICE = 1 << 31
PLAN_SHARES = PPM

SCHEDULE = np.dtype(
    [
        ("qty", "<i8"),  # the parent's; 0: no schedule
        ("start", "<i8"),
        ("end", "<i8"),
        ("pace", "<i8"),  # PPM of the market's volume to follow; 0: follow the curve
        ("max_participation", "<i8"),  # PPM of the market's volume that may be done; 0: no limit
        ("min_slice", "<i8"),
        ("max_slice", "<i8"),
        ("timing", "<i8"),  # PPM: how far in its slice the moment of release is random
        ("seed", "<u8"),
        ("completes", "<i8"),  # 1: what is left at the end is due then, 0: it is left
        ("points", "<i8"),  # intervals of the curve in use
        ("curve", "<i8", (POINTS + 1,)),
    ]
)

PROGRESS = np.dtype(
    [
        ("planned", "<i8"),  # shares that the path asks for by now
        ("due", "<i8"),  # of these, what slices and participation let be done
        ("done", "<i8"),
        ("ahead", "<i8"),  # done - planned: negative is behind
        ("filled", "<i8"),  # PPM of the parent's quantity
        ("elapsed", "<i8"),  # PPM of the time
        ("participation", "<i8"),  # PPM of the market's volume
    ]
)


def check_schedule(schedule: np.void) -> None:
    """Raises BadInput, naming the field, for a SCHEDULE that the functions here are not made for."""
    qty, start, end = (int(schedule[name]) for name in ("qty", "start", "end"))
    if not 1 <= qty <= MOST_SHARES:
        raise BadInput("out_of_range", "qty", qty, f"1 to {MOST_SHARES} shares")
    if start < 0 or not SHORTEST <= end - start <= LONGEST:
        raise BadInput("out_of_range", "end", end, f"{SHORTEST} to {LONGEST} ns after start ({start})")
    sizes = int(schedule["min_slice"]), int(schedule["max_slice"])
    if not 1 <= sizes[0] <= sizes[1] <= LARGEST_SLICE:
        raise BadInput("out_of_range", "min_slice, max_slice", sizes, f"1 <= min_slice <= max_slice <= {LARGEST_SLICE}")
    for name in ("timing", "pace", "max_participation"):
        if not 0 <= schedule[name] <= PPM:
            raise BadInput("out_of_range", name, int(schedule[name]), f"0 to {PPM} parts per million")
    points = int(schedule["points"])
    if not (schedule["pace"] and points == 0) and not 1 <= points <= POINTS:
        raise BadInput("out_of_range", "points", points, f"1 to {POINTS}")
    curve = schedule["curve"][: points + 1]
    if points and (curve[0] != 0 or curve[-1] != qty or (np.diff(curve) < 0).any()):
        raise BadInput("out_of_range", "curve", curve[[0, -1]].tolist(), f"from 0 to {qty}, never down")


@njit(cache=True)
def begin_schedule(schedule, plan, qty, now, number):
    """Makes ``schedule`` of a plan: ``qty`` shares from ``now`` on, with a seed of its own by ``number``."""
    schedule.qty = qty
    schedule.start = now
    schedule.end = now + plan.end
    schedule.pace, schedule.max_participation = plan.pace, plan.max_participation
    schedule.min_slice, schedule.max_slice = plan.min_slice, plan.max_slice
    schedule.timing, schedule.completes = plan.timing, plan.completes
    schedule.seed = random_bits(plan.seed, number)
    schedule.points = plan.points
    for point in range(plan.points + 1):
        schedule.curve[point] = plan.curve[point] * qty // PLAN_SHARES


@njit(cache=True, inline="always")
def _slice_end(schedule, k):
    """Shares that are done when slice ``k`` (from 1) is; 0 before the first."""
    if k <= 0:
        return 0
    half = (schedule.max_slice - schedule.min_slice) // 2
    end = k * (schedule.min_slice + half) + random_below(schedule.seed, 2 * k, half + 1)
    return min(end, schedule.qty)


@njit(cache=True, inline="always")
def _release_point(schedule, k):
    """Where the path releases slice ``k``, in shares: always before the slice's end."""
    begin = _slice_end(schedule, k - 1)
    size = _slice_end(schedule, k) - begin
    margin = size * (PPM - schedule.timing) // (2 * PPM)
    room = size - 2 * margin
    return begin + margin + (random_below(schedule.seed, 2 * k + 1, room) if room > 0 else 0)


@njit(cache=True)
def _released(schedule, path):
    """Shares of all slices that a path at ``path`` shares has released."""
    if path >= schedule.qty:
        return schedule.qty
    step = schedule.min_slice + (schedule.max_slice - schedule.min_slice) // 2
    k = path // step + 1
    while k > 0 and _release_point(schedule, k) > path:
        k -= 1
    return _slice_end(schedule, k)


@njit(cache=True, inline="always")
def _part(shares, passed, duration):
    """``shares`` * ``passed`` / ``duration``, rounded down; times lose the bits for which an int64 has no room."""
    bits = max(highest_bit(shares) + highest_bit(duration) - 60, 0)
    return shares * (passed >> bits) // (duration >> bits)


@njit(cache=True)
def planned(schedule, now, market_volume):
    """Shares that the path asks for at ``now``, rounded down; all of them from the end on."""
    if now < schedule.start:
        return 0
    if now >= schedule.end:
        return schedule.qty
    if schedule.pace:
        return min(market_volume * schedule.pace // PPM, schedule.qty)
    duration = schedule.end - schedule.start
    place = (now - schedule.start) * schedule.points
    interval = place // duration
    below = schedule.curve[interval]
    return below + _part(schedule.curve[interval + 1] - below, place - interval * duration, duration)


@njit(cache=True)
def schedule_due(schedule, now, market_volume, done):
    """Shares of the parent that should have been done by ``now``: at least ``done``, at most its quantity.

    ``market_volume`` is what has traded since the schedule's start. Never goes down with time and volume while ``done``
    does not, but for one moment: the end of a schedule that does not complete, after which nothing more is due.
    """
    if now < schedule.start or (now >= schedule.end and not schedule.completes):
        return done
    due = _released(schedule, planned(schedule, now, market_volume))
    if schedule.max_participation:
        due = min(due, market_volume * schedule.max_participation // PPM)
    return max(due, done)


@njit(cache=True)
def slice_due(schedule, now, market_volume, done, working):
    """Shares to send now, ``working`` of the parent's being on their way: none, or a slice of its least to its greatest
    size; less than the least only where nothing would be left of the parent."""
    committed = done + working
    missing = schedule_due(schedule, now, market_volume, done) - committed
    if missing <= 0 or missing < min(schedule.min_slice, schedule.qty - committed):
        return 0
    return min(missing, schedule.max_slice)


@njit(cache=True)
def note_progress(schedule, now, market_volume, done, progress):
    """Fills one PROGRESS record."""
    duration = schedule.end - schedule.start
    elapsed = min(max(now - schedule.start, 0), duration)
    progress.planned = planned(schedule, now, market_volume)
    progress.due = schedule_due(schedule, now, market_volume, done)
    progress.done = done
    progress.ahead = done - progress.planned
    progress.filled = done * PPM // schedule.qty
    progress.elapsed = elapsed // 1_000 * PPM // (duration // 1_000)
    progress.participation = done * PPM // market_volume if market_volume > 0 else 0
