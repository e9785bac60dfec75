"""Columns of text into dates, prices, volumes and symbols, saying of each value what is wrong with it.

Prices become int64 in 1/10,000 (rounded half to even), volumes whole shares.
"""

import re
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.core.events import PRICE_SCALE
from engine.history.store import FIRST_DAY, LAST_DAY

NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
MISSING = ("", "na", "n/a", "nan", "null", "none", "nat")
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-+=^_/$*#]{0,7}")  # the eight characters of an ITCH stock field
ISO_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[ T]00:00(?::00(?:\.0+)?)?Z?)?")
MOST = 2**53  # beyond it a float is not exact


class Column(NamedTuple):
    """Values [n] int64 (0 where missing or bad) and what is said of those: missing, or bad with a reason a row."""

    values: NDArray[np.int64]
    missing: NDArray[np.bool_]
    bad: NDArray[np.bool_]
    reasons: dict[int, str]  # position: reason, of the bad ones


def prices(text: pa.StringArray) -> Column:
    """Prices above 0 in 1/10,000."""
    return _numbers(text, PRICE_SCALE, 1, "a price above 0 (at least 0.0001)")


def volumes(text: pa.StringArray) -> Column:
    """Whole shares, 0 or more."""
    return _numbers(text, 1, 0, "a volume in whole shares, 0 or more")


def dates(text: pa.StringArray) -> Column:
    """Days as yyyymmdd from yyyy-mm-dd or yyyymmdd (a time of midnight may follow)."""
    encoded = text.dictionary_encode()
    days: list[int] = []
    wrong: dict[int, str] = {}
    for code, value in enumerate(encoded.dictionary.to_pylist()):
        day = _day(value)
        days.append(day)
        if not day:
            wrong[code] = "date is missing" if value.lower() in MISSING else f"{value!r} is not a date (yyyy-mm-dd)"
    return _of_distinct(encoded, np.array(days, np.int64), wrong)


def symbols(text: pa.StringArray) -> tuple[Column, list[str]]:
    """Positions in a sorted list of symbols, and that list."""
    encoded = text.dictionary_encode()
    found = encoded.dictionary.to_pylist()
    wrong = {code: symbol_fault(value) for code, value in enumerate(found) if symbol_fault(value)}
    names = sorted(value for code, value in enumerate(found) if code not in wrong)
    position = {name: place for place, name in enumerate(names)}
    return _of_distinct(encoded, np.array([position.get(v, 0) for v in found], np.int64), wrong), names


def symbol_fault(symbol: str) -> str:
    """What is wrong with a symbol, or an empty text."""
    if SYMBOL.fullmatch(symbol):
        return ""
    return "symbol is missing" if not symbol else f"{symbol!r} is not a symbol (1-8 letters, digits, . - / and alike)"


def _day(text: str) -> int:
    found = ISO_DATE.fullmatch(text)
    if not found:
        return 0
    year, month, day = (int(part) for part in found.groups())
    try:
        date(year, month, day)
    except ValueError:
        return 0
    yyyymmdd = year * 10_000 + month * 100 + day
    return yyyymmdd if FIRST_DAY <= yyyymmdd <= LAST_DAY else 0


def _of_distinct(encoded: pa.DictionaryArray, values: NDArray[np.int64], wrong: dict[int, str]) -> Column:
    codes = encoded.indices.to_numpy()
    bad = np.isin(codes, np.array(list(wrong), np.int64))
    reasons = {int(at): wrong[int(codes[at])] for at in np.flatnonzero(bad)}
    return Column(values[codes] if len(values) else codes.astype(np.int64), np.zeros(len(codes), bool), bad, reasons)


def _numbers(text: pa.StringArray, scale: int, least: int, expected: str) -> Column:
    numeric = pc.match_substring_regex(text, NUMBER).to_numpy(zero_copy_only=False)
    missing = np.zeros(len(text), bool)
    odd = np.flatnonzero(~numeric)
    if len(odd):
        lower = pc.utf8_lower(text.take(pa.array(odd)))
        missing[odd] = pc.is_in(lower, pa.array(MISSING)).to_numpy(zero_copy_only=False)
    floats = pc.if_else(pa.array(numeric), text, "0").cast(pa.float64()).to_numpy(zero_copy_only=False)
    scaled = np.rint(floats * scale)
    wrong = numeric & ~((scaled >= least) & (scaled <= MOST))
    if scale == 1:
        wrong |= numeric & (scaled != floats)
    bad = (~numeric & ~missing) | wrong
    good = numeric & ~wrong
    values = np.where(good, scaled, 0).astype(np.int64)
    reasons = {}
    for at in np.flatnonzero(bad):
        value = text[int(at)].as_py()
        reasons[int(at)] = f"{value!r} is not {expected}" if numeric[at] else f"{value!r} is not a number"
    return Column(values, missing, bad, reasons)
