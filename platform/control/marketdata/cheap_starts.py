"""What adjustment does to early prices, by example: symbols whose history begins below one dollar."""

from functools import lru_cache

import numpy as np
from django.conf import settings

from control.marketdata.models import Dataset
from engine.errors import BadInput
from engine.history import CorruptHistory, open_history
from engine.messages import PRICE_SCALE

TOLD = 3


def first_closes_below_one(dataset: Dataset) -> list[tuple[str, float]]:
    """The first three symbols (by name) of an adjusted dataset whose first close is below 1 USD, with that close."""
    return list(_found(dataset.name, dataset.data_hash)) if dataset.adjusted else []


@lru_cache(maxsize=16)
def _found(name: str, data_hash: str) -> tuple[tuple[str, float], ...]:
    try:
        _dates, symbols, prices = open_history(settings.HISTORY_ROOT).closes(name)
    except (BadInput, CorruptHistory):
        return ()  # the notice goes without its example; the store's state is told where it is used
    first = prices[np.argmax(prices > 0, axis=0), np.arange(len(symbols))]
    cheap = [
        (symbol, close / PRICE_SCALE)
        for symbol, close in zip(symbols, first.tolist(), strict=True)
        if 0 < close < PRICE_SCALE
    ]
    return tuple(cheap[:TOLD])
