"""Faults by themselves: as often as configured, the same for the same seed, each kind apart from the others."""

from collections import Counter

import pytest

from engine.errors import BadInput
from engine.simulation.faults import SECOND, Chance, Faults, Packets, Windows, stream

PACKETS = [str(number).encode() for number in range(10_000)]


def passed(faults: Faults, seed: int = 1) -> tuple[list[bytes], dict[str, int]]:
    packets = Packets(faults, stream(seed, "receivers"))
    out = [packet for one in PACKETS for packet in packets.pass_on([one])]
    return out, packets.counts


def test_without_faults_everything_passes_as_it_is():
    assert passed(Faults()) == (PACKETS, {"dropped": 0, "doubled": 0, "reordered": 0})


def test_dropped_packets_are_gone_and_as_many_as_configured():
    out, counts = passed(Faults(drop=0.01))
    assert len(out) == len(PACKETS) - counts["dropped"]
    assert counts["dropped"] == pytest.approx(100, abs=40)  # four standard deviations of a binomial


def test_doubled_packets_come_twice_in_a_row():
    out, counts = passed(Faults(double=0.01))
    assert len(out) == len(PACKETS) + counts["doubled"]
    assert counts["doubled"] == sum(one == other for one, other in zip(out, out[1:], strict=False)) > 0


def test_reordered_packets_come_behind_as_many_later_ones_as_configured_and_none_is_lost():
    out, counts = passed(Faults(reorder=0.01, reorder_by=3))
    assert 0 <= len(PACKETS) - len(out) <= 3  # the last ones may be held still
    places = {packet: place for place, packet in enumerate(out)}
    late = [places[packet] - number for number, packet in enumerate(PACKETS) if packet in places]
    assert counts["reordered"] > 0
    assert max(late) <= 3 + 1
    assert Counter(out).most_common(1)[0][1] == 1


def test_same_seed_gives_the_same_faults_and_another_line_others():
    faults = Faults(drop=0.1, double=0.1, reorder=0.1)
    assert passed(faults) == passed(faults)
    assert passed(faults) != passed(faults, seed=2)
    other_line = Packets(faults, stream(1, "receivers_b"))
    assert [p for one in PACKETS for p in other_line.pass_on([one])] != passed(faults)[0]


def test_chance_strikes_as_often_as_it_says_and_counts():
    chance = Chance(0.25, stream(1, "reject"))
    assert sum(chance.strikes() for _ in range(10_000)) == chance.count
    assert chance.count == pytest.approx(2_500, abs=175)


def test_windows_are_as_long_and_about_as_far_apart_as_configured():
    windows = Windows(10.0, 2.0, stream(1, "hang"))
    now, ends = 0, []
    while now < 12_000 * SECOND:
        end = windows.end_of(now)
        if end:
            assert end - now <= 2 * SECOND
            ends.append(end)
        now = end or now + SECOND // 4
    assert len(ends) == pytest.approx(1_000, abs=130)
    assert min(b - a for a, b in zip(ends, ends[1:], strict=False)) >= 2 * SECOND


def test_there_are_no_windows_where_none_are_configured():
    assert Windows(0.0, 2.0, stream(1, "hang")).end_of(10**18) == 0


@pytest.mark.parametrize(
    "faults",
    [
        Faults(drop=1.1),
        Faults(drop=0.5, double=0.6),
        Faults(reject=-0.1),
        Faults(slow_ack_ms=-1),
        Faults(reorder_by=0),
        Faults(hang_every=float("nan")),
    ],
)
def test_faults_that_make_no_sense_are_bad_input(faults: Faults):
    with pytest.raises(BadInput, match="faults"):
        faults.check()
