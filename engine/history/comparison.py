"""Whether two sources say the same of the same bars."""

import numpy as np
import pyarrow as pa

from engine.core.events import PRICE_SCALE
from engine.history.quality import Finding
from engine.history.rows import FIGURES, UNKNOWN, figures, overlap

TOLERANCE = 0.001  # of a price: sources round, and some print a session's close, others the last trade
VOLUME_TOLERANCE = 0.05  # sources count late prints and odd lots differently


def disagreements(bars: pa.Table, others: pa.Table, source: str) -> list[Finding]:
    """One finding a symbol and figure that differs from ``source``: on how many of the common days, and the first.

    Both of schema BARS, ordered by symbol and date. A figure that either does not know is no disagreement.
    """
    both = overlap(others, bars)
    mine, theirs = figures(bars)[both.new], figures(others)[both.old]
    known = (mine != UNKNOWN) & (theirs != UNKNOWN)
    tolerance = np.where(np.array(FIGURES) == "volume", VOLUME_TOLERANCE, TOLERANCE)
    differs = known & (np.abs(mine - theirs) > tolerance * np.maximum(mine, theirs))
    rows = bars.take(pa.array(both.new))
    symbols, days = np.array(rows["symbol"].to_pylist()), rows["date"].to_numpy()
    found = []
    for place, figure in enumerate(FIGURES):
        for symbol in np.unique(symbols[differs[:, place]]).tolist():
            at = np.flatnonzero((symbols == symbol) & differs[:, place])
            common = int(((symbols == symbol) & known[:, place]).sum())
            first = at[0]
            scale = 1 if figure == "volume" else PRICE_SCALE
            ours, other = mine[first, place] / scale, theirs[first, place] / scale
            detail = f"{figure} {ours:g}, in {source} {other:g}; on {len(at)} of {common} common days"
            found.append(Finding("disagreement", symbol, int(days[first]), detail))
    return sorted(found, key=lambda one: (one.symbol, one.date))
