"""The session clock against New York times worked out by hand."""

from datetime import UTC, datetime

import pytest

from engine.core.clock import SessionClock, midnight_ns

SECOND = 1_000_000_000
EPOCH = 1_800_000_000 * SECOND


def utc_ns(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND


def clock() -> SessionClock:
    return SessionClock(EPOCH, [20130308, 20130311], 2.0)


def test_open_and_close_are_new_york_times_on_both_sides_of_a_clock_change():
    # New York is UTC-5 on Friday 8 March 2013 and UTC-4 on Monday 11 March (DST began on the 10th).
    assert clock().open_ns(0) == utc_ns(2013, 3, 8, 14, 30)
    assert clock().close_ns(0) == utc_ns(2013, 3, 8, 21, 0)
    assert clock().open_ns(1) == utc_ns(2013, 3, 11, 13, 30)
    assert midnight_ns(20130311) == utc_ns(2013, 3, 11, 4, 0)


def test_session_takes_nine_tenths_of_the_wall_time_of_a_day():
    assert clock().session_ns(EPOCH) == utc_ns(2013, 3, 8, 14, 30)
    assert clock().session_ns(EPOCH + 900_000_000) == utc_ns(2013, 3, 8, 17, 45)  # half of 1.8 s: half of 6.5 h
    assert clock().session_ns(EPOCH + 1_800_000_000) == utc_ns(2013, 3, 8, 21, 0)


def test_pre_open_is_the_last_half_hour_before_the_opening():
    assert clock().session_ns(EPOCH + 1_900_000_000) == utc_ns(2013, 3, 11, 13, 0)
    assert clock().session_ns(EPOCH + 1_950_000_000) == utc_ns(2013, 3, 11, 13, 15)
    assert clock().session_ns(EPOCH - SECOND) == utc_ns(2013, 3, 8, 14, 0)


def test_clock_goes_on_at_wall_speed_after_the_last_close():
    assert clock().session_ns(EPOCH + 13_800_000_000) == utc_ns(2013, 3, 11, 20, 0, 10)


def test_clock_never_goes_back():
    times = [clock().session_ns(EPOCH + step * 7_654_321) for step in range(-40, 700)]
    assert times == sorted(times)


def test_json_round_trip_gives_the_same_clock():
    again = SessionClock.from_json(clock().to_json())
    assert (again.wall_knots == clock().wall_knots).all()
    assert (again.session_knots == clock().session_knots).all()


@pytest.mark.parametrize(("dates", "seconds"), [([], 2.0), ([20130311, 20130308], 2.0), ([20130308], 0.0)])
def test_clock_refuses_dates_that_do_not_rise_and_empty_days(dates: list[int], seconds: float):
    with pytest.raises(ValueError, match="expected"):
        SessionClock(EPOCH, dates, seconds)
