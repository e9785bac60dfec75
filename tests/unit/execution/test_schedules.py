"""Execution schedules: by hand, against the plain reference, and what always holds."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from engine.core import schedules as core
from engine.core.counter_random import random_bits
from engine.core.schedules import LONGEST, MOST_SHARES, POINTS, PPM, PROGRESS, SHORTEST
from engine.errors import BadInput
from engine.execution.almgren_chriss import Impact, optimal
from engine.execution.schedule_reference import ReferenceSchedule, as_dict, splitmix64
from engine.execution.schedules import Slicing, pov, shortfall, twap, vwap

SECOND = 1_000_000_000
START = 34_200 * SECOND


# From Python an array of one record is handed over faster than the record.
@njit(cache=True)
def due(schedules, now, volume, done):
    return core.schedule_due(schedules[0], now, volume, done)


@njit(cache=True)
def to_send(schedules, now, volume, done, working):
    return core.slice_due(schedules[0], now, volume, done, working)


@njit(cache=True)
def progress(schedules, now, volume, done, out):
    core.note_progress(schedules[0], now, volume, done, out[0])


@njit(cache=True)
def bits(seed, counter):
    return random_bits(seed, counter)


def slices(schedule: np.ndarray, seconds: Iterator[int] | range, volume_per_second: int = 0) -> list[tuple[int, int]]:
    """(second, shares) of each slice when every slice is filled at once."""
    sent, done = [], 0
    for second in seconds:
        shares = to_send(schedule, START + second * SECOND, second * volume_per_second, done, 0)
        if shares:
            sent.append((second, shares))
            done += shares
    return sent


def test_random_numbers_by_counter_are_the_published_stream_of_splitmix64():
    """The first outputs for the seed 1234567, as in the test vectors of Rosetta Code's page on SplitMix64."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [bits(1234567, n) for n in range(1, 6)] == known
    assert list(itertools.islice(splitmix64(1234567), 5)) == known


def test_twap_sends_equal_slices_in_the_middle_of_equal_times():
    schedule = twap(1_000, START, START + 100 * SECOND, Slicing(250, 250))
    # 10 shares a second: slices of 250 end at 25, 50, 75, 100 s and are released half way, at 12.5 s and so on
    assert slices(schedule, range(101)) == [(13, 250), (38, 250), (63, 250), (88, 250)]


def test_vwap_follows_the_volume_of_history():
    schedule = vwap(1_000, START, START + 128 * SECOND, [50, 10, 0, 40], Slicing(1, 1))
    shown = [due(schedule, START + second * SECOND, 0, 0) for second in (0, 8, 32, 64, 80, 96, 120, 128)]
    assert shown == [1, 126, 501, 601, 601, 601, 901, 1000]  # a slice of one share is due as it begins


def test_pov_does_its_share_of_what_the_market_trades_and_no_more():
    schedule = pov(1_000, START, START + 600 * SECOND, 0.1, Slicing(50, 50))
    sent = slices(schedule, range(60), volume_per_second=100)
    assert sent[:3] == [(5, 50), (10, 50), (15, 50)]  # ten shares a second: the limit lets 50 be done after five
    assert due(schedule, START + 60 * SECOND, 6_000, 0) == 600


def test_a_shortfall_schedule_goes_along_almgren_and_chriss_trajectory():
    plan = optimal(10_000, 5.0, 5, Impact(0.95, 0.0, 2.5e-4), 1e-4)
    schedule = shortfall(10_000, START, START + 50 * SECOND, plan.holdings, Slicing(1, 1))
    for interval in range(1, 5):
        done = due(schedule, START + interval * 10 * SECOND, 0, 0) - 1
        assert done == pytest.approx(10_000 - plan.holdings[interval], abs=1)
    buying = shortfall(10_000, START, START + 50 * SECOND, -plan.holdings, Slicing(1, 1))
    assert (buying["curve"] == schedule["curve"]).all()


def test_at_the_end_what_is_left_is_due_or_is_left():
    end = START + 100 * SECOND
    completing = twap(1_000, START, end, Slicing(100, 100))
    leaving = twap(1_000, START, end, Slicing(100, 100, completes=False))
    for now in (end, end + SECOND):
        assert (due(completing, now, 0, 300), to_send(completing, now, 0, 300, 0)) == (1_000, 100)
        assert (due(leaving, now, 0, 300), to_send(leaving, now, 0, 300, 0)) == (300, 0)
    assert due(leaving, end - 1, 0, 300) == 1_000


def test_completing_goes_on_after_the_end_within_the_participation():
    schedule = twap(1_000, START, START + 100 * SECOND, Slicing(10, 100, max_participation=0.2))
    assert due(schedule, START + 100 * SECOND, 2_000, 0) == 400
    assert due(schedule, START + 200 * SECOND, 4_000, 400) == 800


def test_what_was_missed_is_caught_up_in_slices_of_the_greatest_size():
    schedule = twap(1_000, START, START + 100 * SECOND, Slicing(50, 100))
    assert to_send(schedule, START + 95 * SECOND, 0, 0, 0) == 100
    assert to_send(schedule, START + 95 * SECOND, 0, 0, 100) == 100


def test_seeds_change_sizes_and_moments_and_a_seed_repeats_itself():
    def sent(seed: int) -> list[tuple[int, int]]:
        slicing = Slicing(50, 150, timing=1.0, seed=seed)
        return slices(twap(2_000, START, START + 1_000 * SECOND, slicing), range(1_001))

    assert sent(1) == sent(1)
    assert len({tuple(sent(seed)) for seed in range(5)}) == 5
    sizes = [shares for seed in range(20) for _, shares in sent(seed)[:-1]]
    assert min(sizes) >= 50
    assert max(sizes) <= 150
    assert len(set(sizes)) > 40


def test_progress_says_where_the_parent_stands():
    schedule = twap(1_000, START, START + 100 * SECOND, Slicing(100, 100, max_participation=0.5))
    out = np.zeros(1, PROGRESS)
    progress(schedule, START + 25 * SECOND, 1_000, 150, out)
    shown = {"planned": 250, "due": 300, "done": 150, "ahead": -100}
    assert as_dict(out[0]) == shown | {"filled": 150_000, "elapsed": 250_000, "participation": 150_000}


@st.composite
def made_schedules(draw) -> np.ndarray:
    qty = draw(st.integers(1, 3_000))
    least = draw(st.integers(1, 200))
    slicing = Slicing(
        least,
        least + draw(st.integers(0, 200)),
        timing=draw(st.sampled_from([0.0, 0.3, 1.0])),
        seed=draw(st.integers(0, 2**64 - 1)),
        max_participation=draw(st.sampled_from([0.0, 0.01, 0.25, 1.0])),
        completes=draw(st.booleans()),
    )
    end = START + draw(st.integers(SHORTEST, LONGEST))
    if draw(st.booleans()):
        return pov(qty, START, end, draw(st.floats(0.01, 1.0)), slicing)
    weights = draw(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=POINTS).filter(lambda many: sum(many) > 0))
    return vwap(qty, START, end, weights, slicing)


@st.composite
def moments(draw) -> list[tuple[int, int, int, int]]:
    """(PPM of the schedule's time, volume since the last, fills in PPM of what works, is the rest cancelled)."""
    parts = sorted(draw(st.lists(st.integers(-100_000, 1_300_000), min_size=1, max_size=60)))
    row = st.tuples(st.integers(0, 3_000), st.integers(0, PPM), st.booleans())
    return [(part, *draw(row)) for part in parts]


@settings(max_examples=200)
@given(made_schedules(), moments())
def test_a_schedule_followed_in_any_market_keeps_its_limits_and_agrees_with_the_reference(schedule, day):
    record, reference = schedule[0], ReferenceSchedule(schedule[0])
    start, end, qty = (int(record[name]) for name in ("start", "end", "qty"))
    volume = done = working = before = 0
    for part, traded, filled, cancelled in day:
        now = start + (end - start) * part // PPM
        volume += traded
        wanted = due(schedule, now, volume, done)
        assert wanted == reference.due(now, volume, done)
        assert done <= wanted <= qty
        if now < end or record["completes"]:
            assert wanted >= before
        before = max(wanted, done)
        shares = to_send(schedule, now, volume, done, working)
        assert shares == reference.to_send(now, volume, done, working)
        assert 0 <= shares <= record["max_slice"]
        assert shares == 0 or shares >= min(record["min_slice"], qty - done - working)
        working += shares
        assert done + working <= qty
        if record["max_participation"] and shares:
            assert (done + working) * PPM <= volume * int(record["max_participation"])
        executed = working * filled // PPM
        done, working = done + executed, 0 if cancelled else working - executed


@given(st.integers(1, MOST_SHARES), st.integers(SHORTEST, LONGEST), st.integers(0, PPM - 1))
def test_the_path_is_near_the_exact_one_for_the_largest_parents_and_the_longest_days(qty, duration, part):
    schedule = twap(qty, START, START + duration, Slicing(1, 1))
    passed = duration * part // PPM
    exact = qty * passed // duration
    path = due(schedule, START + passed, 0, 0) - 1
    assert abs(path - exact) <= 1 + (qty >> 28)


@given(made_schedules())
def test_the_slices_sum_to_the_parents_quantity_exactly(schedule):
    if not schedule["completes"][0]:
        return
    qty, end, done = int(schedule["qty"][0]), int(schedule["end"][0]), 0
    most = qty // int(schedule["min_slice"][0]) + 1
    for _ in range(most):
        done += to_send(schedule, end, 1 << 40, done, 0)
    assert done == qty


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: twap(10, START, START + SECOND, Slicing(0, 10)), "min_slice"),
        (lambda: twap(10, START, START + SECOND, Slicing(20, 10)), "min_slice"),
        (lambda: Slicing(1, 10, timing=1.5), "timing"),
        (lambda: Slicing(1, 10, max_participation=float("nan")), "max_participation"),
        (lambda: Slicing(1, 10, seed=-1), "seed"),
        (lambda: twap(0, START, START + SECOND, Slicing(1, 1)), "qty"),
        (lambda: twap(10, START, START, Slicing(1, 1)), "end"),
        (lambda: vwap(10, START, START + SECOND, [1, -1], Slicing(1, 1)), "weights"),
        (lambda: vwap(10, START, START + SECOND, [0, 0], Slicing(1, 1)), "weights"),
        (lambda: vwap(10, START, START + SECOND, np.ones(POINTS + 1), Slicing(1, 1)), "weights"),
        (lambda: pov(10, START, START + SECOND, 0.0, Slicing(1, 1)), "rate"),
        (lambda: shortfall(10, START, START + SECOND, [10, 5], Slicing(1, 1)), "holdings"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_by_its_field(make, field):
    with pytest.raises(BadInput) as refused:
        make()
    assert field in refused.value.field
