"""What is doubtful about daily bars that may all the same be right: found by rules, never by symbol or date.

``examine`` only reports; no bar is changed or left out. A long list of one kind is cut to ``MOST_OF_A_KIND``
findings, and the last says how many more there are.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.core.events import PRICE_SCALE
from engine.dates import as_date
from engine.history.rows import UNKNOWN

MOST_OF_A_KIND = 200
JUMP = 0.35  # |log return| from one close to the next that a day's trading rarely makes
JUMP_SIGMAS = 12  # and against the symbol's own median absolute deviation
RANGE_SHARE = 0.5  # a jump with a day's range of less than this share of it happened overnight
BACK_WITHIN = 3  # bars within which a jump that is taken back is a glitch
REVERSAL = 0.10  # |log return| that the next day takes back: not the price of any other day
REVERSAL_SIGMAS = 8
WICK = 0.25  # |log| by which a high, a low or an open stands alone
GAP_QUORUM = 0.5  # a day counts as a trading day where this share of the symbols that are alive has a bar


class Finding(msgspec.Struct, frozen=True):
    """One doubt: its kind, where (``date`` yyyymmdd, 0 for the whole symbol), and the figures that raise it."""

    kind: str
    symbol: str
    date: int
    detail: str


class _Bars(NamedTuple):
    symbols: list[str]
    codes: NDArray[np.int64]
    dates: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]

    def at(self, row: int) -> tuple[str, int]:
        return self.symbols[self.codes[row]], int(self.dates[row])


def examine(table: pa.Table) -> list[Finding]:
    """Findings on bars (schema BARS, ordered by symbol and date), ordered by kind, symbol and date."""
    if not table.num_rows:
        return []
    encoded = table["symbol"].combine_chunks().dictionary_encode()
    known = {n: pc.fill_null(table[n], UNKNOWN).to_numpy() for n in ("open", "high", "low", "close", "volume")}
    bars = _Bars(
        encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64), table["date"].to_numpy(), **known
    )
    return [*_unknown(bars), *_impossible(bars), *_weekends(bars), *_jumps(bars), *_outliers(bars), *_gaps(bars)]


def _unknown(bars: _Bars) -> list[Finding]:
    """Figures that single bars lack. A figure that no bar has is a property of the dataset, not a fault."""
    found = []
    for name in ("open", "high", "low", "volume"):
        values = getattr(bars, name)
        lacking = values == UNKNOWN
        if not lacking.all():
            found += _listed(bars, f"missing_{name}", np.flatnonzero(lacking), lambda row: "not in the file")
    return found


def _impossible(bars: _Bars) -> list[Finding]:
    def inside(row: int, name: str) -> str:
        return f"{name} {_money(getattr(bars, name)[row])}, low {_money(bars.low[row])}, high {_money(bars.high[row])}"

    ranged = (bars.high != UNKNOWN) & (bars.low != UNKNOWN)
    crossed = ranged & (bars.high < bars.low)
    found = _listed(
        bars,
        "high_below_low",
        np.flatnonzero(crossed),
        lambda row: f"high {_money(bars.high[row])}, low {_money(bars.low[row])}",
    )
    for name in ("open", "close"):
        price = getattr(bars, name)
        outside = ranged & (price != UNKNOWN) & ((price < bars.low) | (price > bars.high))
        found += _listed(bars, f"{name}_outside_range", np.flatnonzero(outside), partial(inside, name=name))
    return found + _listed(bars, "zero_volume", np.flatnonzero(bars.volume == 0), lambda row: "no share traded")


def _weekends(bars: _Bars) -> list[Finding]:
    days, inverse = np.unique(bars.dates, return_inverse=True)
    weekend = np.is_busday(_datetimes(days), weekmask="0000011")
    return _listed(bars, "weekend", np.flatnonzero(weekend[inverse]), lambda row: "Saturday or Sunday")


def _jumps(bars: _Bars) -> list[Finding]:
    """Steps of the close: a glitch is taken back within days; a step that stays, and that the day's own trading
    did not make, looks like an unadjusted split or spin-off."""
    logs, change = _changes(bars)
    found: dict[str, list[tuple[int, str]]] = {"glitch": [], "jump": []}
    taken_back = -1
    for row in np.flatnonzero(np.abs(change) > JUMP):
        if row <= taken_back:
            continue
        high = int(np.searchsorted(bars.codes, bars.codes[row] + 1))
        if abs(change[row]) < JUMP_SIGMAS * _sigma(bars, change, int(row)):
            continue
        after = logs[row : min(row + BACK_WITHIN + 1, high)] - logs[row - 1]
        back = np.flatnonzero(np.abs(after) < abs(change[row]) / 4)
        detail = f"close {_money(bars.close[row - 1])} to {_money(bars.close[row])}"
        if len(back):
            taken_back = int(row + back[0])
            found["glitch"].append((int(row), f"{detail}, back after {int(back[0])} bars"))
        elif _overnight(bars, int(row), change[row]):
            found["jump"].append((int(row), f"{detail}: an unadjusted split or spin-off?"))
    return [
        finding
        for kind, rows in found.items()
        for finding in _listed(bars, kind, np.array([row for row, _ in rows], int), dict(rows).__getitem__)
    ]


def _changes(bars: _Bars) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of the closes, and their steps within each symbol (0 at its first bar)."""
    logs = np.log(bars.close.astype(float))
    change = np.zeros(len(logs))
    change[1:] = np.where(bars.codes[1:] == bars.codes[:-1], np.diff(logs), 0.0)
    return logs, change


def _sigma(bars: _Bars, change: NDArray[np.float64], row: int) -> float:
    """Standard deviation of the row's symbol's steps, as its median absolute deviation has it."""
    low, high = np.searchsorted(bars.codes, [bars.codes[row], bars.codes[row] + 1])
    own = change[low + 1 : high]
    return float(1.4826 * np.median(np.abs(own - np.median(own))))


def _outliers(bars: _Bars) -> list[Finding]:
    """Single figures that stand alone: a close that the next day takes back, and a high, low or open far from the rest
    of its own bar and from the close before. Glitches (steps beyond ``JUMP``) are not told twice."""
    _, change = _changes(bars)
    following = np.r_[change[1:], 0.0]
    size = np.abs(change)
    taken_back = (size > REVERSAL) & (size <= JUMP) & (np.abs(change + following) < size / 4)
    rows = [row for row in np.flatnonzero(taken_back) if size[row] > REVERSAL_SIGMAS * _sigma(bars, change, int(row))]
    found = _listed(bars, "outlier", np.array(rows, int), lambda row: f"close {_money(bars.close[row])}, taken back")
    before = np.r_[0, np.where(bars.codes[1:] == bars.codes[:-1], bars.close[:-1], 0)]
    for name in ("open", "high", "low"):
        alone = np.ones(len(change), bool)
        for other in (bars.close, before, bars.open if name != "open" else bars.close):
            alone &= _apart(getattr(bars, name), other)
        found += _listed(bars, "outlier", np.flatnonzero(alone), partial(_beside_close, bars, name))
    return found


def _apart(figure: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    known = (figure > 0) & (other > 0)
    return known & (np.abs(np.log(np.where(known, figure, 1) / np.where(known, other, 1))) > WICK)


def _beside_close(bars: _Bars, name: str, row: int) -> str:
    return f"{name} {_money(getattr(bars, name)[row])}, close {_money(bars.close[row])}"


def _overnight(bars: _Bars, row: int, change: float) -> bool:
    """Whether the day's own range is small beside the step; unknown ranges speak for it."""
    if bars.high[row] <= 0 or bars.low[row] <= 0:
        return True
    return bool(abs(np.log(bars.high[row] / bars.low[row])) < RANGE_SHARE * abs(change))


def _gaps(bars: _Bars) -> list[Finding]:
    """Trading days on which a symbol has no bar, between its own first and last; one finding a symbol."""
    days, places = np.unique(bars.dates, return_inverse=True)
    count = len(bars.symbols)
    first, last = np.full(count, len(days)), np.full(count, -1)
    np.minimum.at(first, bars.codes, places)
    np.maximum.at(last, bars.codes, places)
    present = np.zeros((count, len(days)), bool)
    present[bars.codes, places] = True
    order = np.arange(len(days))
    alive = (order >= first[:, None]) & (order <= last[:, None])
    trading = present.sum(axis=0) >= GAP_QUORUM * alive.sum(axis=0)
    lacking = alive & ~present & trading
    found = []
    for code in np.flatnonzero(lacking.any(axis=1)):
        missed = days[lacking[code]]
        found.append(Finding("gap", bars.symbols[code], int(missed[0]), f"{len(missed)} trading days, to {missed[-1]}"))
    if len(found) > MOST_OF_A_KIND:
        more = len(found) - MOST_OF_A_KIND
        return [*found[:MOST_OF_A_KIND], Finding("gap", "", 0, f"and {more} more symbols")]
    return found


def _listed(bars: _Bars, kind: str, rows: NDArray[Any], detail: Callable[[int], str]) -> list[Finding]:
    found = [Finding(kind, *bars.at(int(row)), detail(int(row))) for row in rows[:MOST_OF_A_KIND]]
    if len(rows) > MOST_OF_A_KIND:
        found.append(Finding(kind, "", 0, f"and {len(rows) - MOST_OF_A_KIND} more"))
    return found


def _money(price: Any) -> str:
    return f"{price / PRICE_SCALE:.4f}".rstrip("0").rstrip(".")


def _datetimes(days: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return np.array([as_date(day) for day in days.tolist()], "datetime64[D]")
