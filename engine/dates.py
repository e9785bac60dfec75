"""Days as whole numbers: yyyymmdd, as events, files and messages carry them."""

from datetime import date

from engine.errors import BadInput

Day = int | str | date


def as_yyyymmdd(day: Day) -> int:
    """A day as int yyyymmdd, from the same, ``"2013-01-02"``, ``"20130102"`` or a date. Raises ``BadInput``."""
    if isinstance(day, date):
        return day.year * 10_000 + day.month * 100 + day.day
    text = str(day)
    iso = text if len(text) == 10 else f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        return as_yyyymmdd(date.fromisoformat(iso))
    except ValueError:
        raise BadInput("bad_date", "date", day, "a day as yyyy-mm-dd or yyyymmdd") from None


def as_date(yyyymmdd: int) -> date:
    """The calendar date of an int yyyymmdd. Raises ``ValueError`` for a number that is no date."""
    return date(yyyymmdd // 10_000, yyyymmdd // 100 % 100, yyyymmdd % 100)


def new_years_day(yyyymmdd: int) -> int:
    """1 January of the day's year, yyyymmdd."""
    return yyyymmdd // 10_000 * 10_000 + 101
