"""Hundreds of pairs for the strategy ``intraday_pairs``, without a formation: for benchmarks and simulated sessions."""

from typing import Any

import numpy as np

from engine.errors import BadInput
from engine.strategies import intraday_pairs
from engine.strategies.intraday_pairs import ARTIFACT


def parameters(**values: Any) -> bytes:
    """The kernel's parameter record: each move of a microprice is a sample, and ``values`` on top."""
    chosen = {"sample_seconds": 0, "price": "microprice", "lookback": 60, **values}
    return intraday_pairs.parameter_record(intraday_pairs.STRATEGY.parameters(chosen))


def artifact(instruments: int, pairs: int) -> np.ndarray:
    """ARTIFACT[1]: pairs of neighbours, then of the next but one, and so on: each instrument is in about as many.

    Raises BadInput for more pairs than the strategy holds.
    """
    if not 1 <= pairs <= intraday_pairs.MAX_PAIRS:
        raise BadInput("pairs", "pairs", pairs, f"1 to {intraday_pairs.MAX_PAIRS}")
    formed = np.zeros(1, ARTIFACT)
    formed["pairs"] = pairs
    for index in range(pairs):
        distance = 1 + index // instruments
        formed["pair"][0, index] = (index % instruments, (index + distance) % instruments, 1.0, 0.0, 0.0)
    return formed
