"""UI.md, "Numbers": every rule, on the table that the browser's copy is tested against as well."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dashboards import formats

CASES = json.loads((Path(__file__).parent / "format_cases.json").read_text())


@pytest.mark.parametrize(("rule", "arguments", "text"), CASES)
def test_figure_is_written_by_its_rule(rule: str, arguments: list, text: str) -> None:
    assert getattr(formats, rule)(*arguments) == text


@pytest.mark.parametrize("rule", ["money", "compact", "price", "quantity", "percent", "bps", "number", "duration"])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, Decimal("NaN"), "none", True])
def test_what_is_not_a_number_is_an_em_dash(rule: str, value: object) -> None:
    assert getattr(formats, rule)(value) == "—"


def test_times_are_read_from_datetimes_and_from_ns() -> None:
    moment = datetime(2013, 1, 2, 14, 30, 0, 123456, tzinfo=UTC)
    nanoseconds = 1_357_137_000_123_456_789  # date -u -d '2013-01-02 14:30:00' +%s = 1357137000
    assert formats.time_micros(moment) == formats.time_micros(nanoseconds) == "14:30:00.123456"
    assert formats.day(moment) == formats.day(date(2013, 1, 2)) == "2013-01-02"
    assert formats.duration(timedelta(hours=1, minutes=23)) == "1 h 23 m"
