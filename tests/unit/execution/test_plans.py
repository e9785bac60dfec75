"""A deployment's plan as the schedule that the step works by."""

from math import sinh
from types import SimpleNamespace

import numpy as np
import pytest

from engine.core.schedules import PLAN_SHARES, PPM
from engine.errors import BadInput
from engine.execution.plans import MINUTE, plan_schedule

DEFAULTS = {
    "minutes": 30,
    "min_slice": 100,
    "max_slice": 300,
    "rate": 0.0,
    "curve": (),
    "urgency": 0.0,
    "timing": 0.0,
    "max_participation": 0.0,
    "completes": True,
    "seed": 0,
}


def schedule(kind, **changed):
    return plan_schedule(SimpleNamespace(kind=kind, **(DEFAULTS | changed)))[0]


def done_by(made, share_of_time):
    points = int(made["points"])
    return np.interp(share_of_time * points, np.arange(points + 1), made["curve"][: points + 1]) / PLAN_SHARES


def test_twap_is_half_done_at_half_time():
    made = schedule("twap")
    assert (int(made["start"]), int(made["end"])) == (0, 30 * MINUTE)
    assert done_by(made, 0.5) == 0.5


def test_vwap_follows_the_volume_that_is_expected():
    made = schedule("vwap", curve=(3, 1, 1, 3))
    assert [done_by(made, share) for share in (0.25, 0.5, 0.75)] == [0.375, 0.5, 0.625]


def test_pov_has_a_pace_and_no_more_of_the_volume_than_that():
    made = schedule("pov", rate=0.1)
    assert (int(made["pace"]), int(made["max_participation"])) == (PPM // 10, PPM // 10)


@pytest.mark.parametrize("urgency", [0.5, 3.0])
def test_shortfall_is_the_trajectory_of_almgren_and_chriss(urgency):
    made = schedule("shortfall", urgency=urgency)
    for share in (0.1, 0.5, 0.9):
        assert done_by(made, share) == pytest.approx(1 - sinh(urgency * (1 - share)) / sinh(urgency), abs=2e-6)


def test_shortfall_without_urgency_is_an_even_pace():
    assert done_by(schedule("shortfall"), 0.37) == pytest.approx(0.37, abs=2e-6)


@pytest.mark.parametrize(
    ("kind", "field", "changed"),
    [
        ("twap", "minutes", {"minutes": 0}),
        ("twap", "minutes", {"minutes": float("nan")}),
        ("twap", "min_slice", {"min_slice": 400}),
        ("twap", "max_participation", {"max_participation": 1.5}),
        ("vwap", "curve", {}),
        ("vwap", "weights", {"curve": (0, 0)}),
        ("pov", "rate", {}),
        ("shortfall", "urgency", {"urgency": 1e9}),
        ("magic", "kind", {}),
    ],
)
def test_what_cannot_be_a_plan_is_refused_by_its_field(kind, field, changed):
    with pytest.raises(BadInput) as refused:
        schedule(kind, **changed)
    assert refused.value.field.startswith(field)
