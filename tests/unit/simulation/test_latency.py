"""How long things take, and that nothing overtakes anything."""

from random import Random

import pytest

from engine.errors import BadInput
from engine.simulation.latency import NEVER, Delay, Latencies, Passage


def test_delay_has_a_floor_and_the_mean_that_it_says():
    random, delay = Random(1), Delay(fixed_us=50, mean_us=20)
    drawn = [delay.draw(random) for _ in range(20_000)]
    assert min(drawn) >= 50_000
    assert sum(drawn) / len(drawn) == pytest.approx(70_000, rel=0.01)


def test_no_delay_is_no_delay():
    assert Delay().draw(Random(1)) == 0


def test_things_arrive_in_the_order_in_which_they_were_sent():
    passage: Passage[int] = Passage(Delay(mean_us=100), Random(2))
    for number in range(1_000):
        passage.send(number, number)
    arrivals = []
    while len(passage):
        at = passage.next_arrival()
        arrivals += [(at, item) for item in passage.arrived(at)]
    assert [item for _, item in arrivals] == list(range(1_000))
    assert [at for at, _ in arrivals] == sorted(at for at, _ in arrivals)
    assert passage.next_arrival() == NEVER


def test_nothing_arrives_before_its_time():
    passage: Passage[str] = Passage(Delay(fixed_us=10), Random(1))
    passage.send("order", 1_000)
    assert passage.arrived(10_999) == []
    assert passage.arrived(11_000) == ["order"]


def test_what_is_held_up_holds_up_all_behind_it():
    passage: Passage[str] = Passage(Delay(), Random(1))
    passage.send("slow", 0, extra=500)
    passage.send("next", 1)
    assert passage.arrived(499) == []
    assert passage.arrived(500) == ["slow", "next"]


def test_negative_delay_is_bad_input():
    with pytest.raises(BadInput, match="latency.report.mean_us"):
        Latencies(report=Delay(mean_us=-1)).check()
