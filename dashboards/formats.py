"""How a figure is written, in one place; ``assets/formats.js`` follows the same rules for the browser.

Both are tested against one table of cases (``tests/unit/dashboards/format_cases.json``). Rounding is
half away from zero on the shortest decimal form of the value, so both languages agree to the digit.
Negative numbers carry U+2212, exact zero is ``0``, and what is unknown is an em dash. Never NaN, None
or an exponent.
"""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

UNKNOWN = "—"
MINUS = "\N{MINUS SIGN}"
# (from, size, suffix): a size is reached where three digits round up to it, so 999,500 is 1.00M
SUFFIXES = (
    (Decimal("0.9995e12"), Decimal("1e12"), "T"),
    (Decimal("0.9995e9"), Decimal("1e9"), "B"),
    (Decimal("0.9995e6"), Decimal("1e6"), "M"),
    (Decimal("1e3"), Decimal("1e3"), "K"),
)


def decimal(value: Any) -> Decimal | None:
    """``value`` as a finite Decimal, or None where there is no such number."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value).replace(MINUS, "-"))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def number(value: Any, decimals: int = 2, *, sign: bool = False) -> str:
    """Grouped, with ``decimals`` places; ``sign`` writes a plus too."""
    exact = decimal(value)
    if exact is None:
        return UNKNOWN
    if exact == 0:
        return "0"
    rounded = exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    text = f"{abs(rounded):,.{decimals}f}"
    if rounded == 0:
        return text
    return (MINUS if rounded < 0 else "+" if sign else "") + text


def money(value: Any) -> str:
    """1,234,567.89"""
    return number(value, 2)


def money_signed(value: Any) -> str:
    """+1,234.50, for profit and loss: never told apart by colour alone."""
    return number(value, 2, sign=True)


def compact(value: Any, *, sign: bool = False) -> str:
    """Three significant digits with a suffix for tiles: 1.23M; below a thousand like money."""
    exact = decimal(value)
    if exact is None:
        return UNKNOWN
    for start, size, suffix in SUFFIXES:
        if abs(exact) >= start:
            mark = MINUS if exact < 0 else "+" if sign else ""
            return f"{mark}{_three_digits(abs(exact) / size):,f}{suffix}"
    return number(exact, 2, sign=sign)


def compact_signed(value: Any) -> str:
    return compact(value, sign=True)


def _three_digits(scaled: Decimal) -> Decimal:
    """``scaled`` (0 or more) with 2, 1 or 0 decimals so that three digits stand."""
    for decimals, limit in ((2, 10), (1, 100)):
        rounded = scaled.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
        if rounded < limit:
            return rounded
    return scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP)


def price(value: Any, decimals: int | None = None) -> str:
    """US equities: two decimals, four below 1 dollar (SEC rule 612), unless ``decimals`` says otherwise."""
    exact = decimal(value)
    if exact is None:
        return UNKNOWN
    if decimals is None:
        decimals = 2 if abs(exact) >= 1 else 4
    return number(exact, decimals)


def quantity(value: Any) -> str:
    """Whole shares: 1,234"""
    return number(value, 0)


def quantity_signed(value: Any) -> str:
    return number(value, 0, sign=True)


def percent(fraction: Any) -> str:
    """0.1234 -> 12.34%"""
    exact = decimal(fraction)
    return UNKNOWN if exact is None else number(exact * 100, 2) + "%"


def percent_signed(fraction: Any) -> str:
    exact = decimal(fraction)
    return UNKNOWN if exact is None else number(exact * 100, 2, sign=True) + "%"


def bps(fraction: Any) -> str:
    """0.00123 -> 12.3"""
    exact = decimal(fraction)
    return UNKNOWN if exact is None else number(exact * 10_000, 1)


def instant(value: Any) -> datetime | None:
    """A UTC datetime from a datetime, an ISO text or an int of ns since 1970; None where there is none."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value // 1000)
    if isinstance(value, str) and value:
        return instant(datetime.fromisoformat(value))
    return None


def time(value: Any) -> str:
    """HH:MM:SS.mmm UTC"""
    moment = instant(value)
    return UNKNOWN if moment is None else moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def time_micros(value: Any) -> str:
    """HH:MM:SS.mmmmmm UTC, for blotters"""
    moment = instant(value)
    return UNKNOWN if moment is None else moment.strftime("%H:%M:%S.%f")


def day(value: Any) -> str:
    """2013-01-02, from a date, a datetime, an ISO text or an int yyyymmdd (0: unknown)."""
    if isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:08d}"
        return f"{text[:4]}-{text[4:6]}-{text[6:]}" if value > 0 else UNKNOWN
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    moment = instant(value)
    return UNKNOWN if moment is None else moment.strftime("%Y-%m-%d")


def moment(value: Any) -> str:
    """2013-01-02 14:30:00 UTC without the zone (the column's head names it)"""
    when = instant(value)
    return UNKNOWN if when is None else when.strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: Any) -> str:
    """Two largest parts: 2 d 4 h, 1 h 23 m, 3 m 20 s, 12 s, 320 ms"""
    exact = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    span = decimal(exact)
    if span is None or span < 0:
        return UNKNOWN
    if span == 0:
        return "0 s"
    if span < 1:
        return f"{int(span * 1000)} ms"
    whole = int(span)
    parts = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next(position for position, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def age(seconds: Any) -> str:
    """12 s old"""
    text = duration(seconds)
    return text if text == UNKNOWN else f"{text} old"


def tone(value: Any) -> str:
    """The class of a signed figure: gain, loss, or none for zero and what is unknown."""
    exact = decimal(value)
    return "" if not exact else "gain" if exact > 0 else "loss"
