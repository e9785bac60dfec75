"""Generated daily closes, the same as those of the peers' benchmark: a market, a factor a pair of symbols, noise.

Rounded to 1/10,000, so that every backtester gets the very same prices.
"""

from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np

FIRST_DAY = date(1990, 1, 1)


def generated_closes(symbols: int = 20, days: int = 8_000, seed: int = 7) -> np.ndarray:
    """int64 [days, symbols] in 1/10,000."""
    random = np.random.default_rng(seed)
    market = random.normal(0.0002, 0.008, size=(days, 1))
    common = random.normal(0, 0.008, size=(days, (symbols + 1) // 2)).repeat(2, axis=1)[:, :symbols]
    own = random.normal(0, 0.006, size=(days, symbols))
    return np.rint(50 * np.exp(np.cumsum(market + common + own, axis=0)) * 10_000).astype(np.int64)


def weekdays(count: int) -> list[date]:
    """The first ``count`` weekdays from 1990 on: business days without holidays."""
    found = (FIRST_DAY + timedelta(days=offset) for offset in range(2 * count))
    return [day for day in found if day.weekday() < 5][:count]


def symbol_names(count: int) -> list[str]:
    return [f"S{number:03d}" for number in range(count)]


def panel_digest(closes: np.ndarray) -> str:
    """SHA-256 (hex) of the little-endian integers: whether two machines have generated the same."""
    return sha256(closes.astype("<i8").tobytes()).hexdigest()


def write_panel(path: Path, closes: np.ndarray) -> None:
    """As a wide csv file: a date and a column of closes a symbol."""
    lines = [",".join(["date", *symbol_names(closes.shape[1])])]
    for day, row in zip(weekdays(len(closes)), closes.tolist(), strict=True):
        lines.append(",".join([day.isoformat(), *(f"{price // 10_000}.{price % 10_000:04d}" for price in row)]))
    path.write_text("\n".join(lines) + "\n")
