"""What trading costs in a daily backtest."""

from dataclasses import dataclass

import numpy as np

from engine.backtest.days import LEAST_HALF_SPREAD
from engine.core.positions import commission_on_value


@dataclass(frozen=True)
class Costs:
    """``fee_per_share`` in 1/10,000 of the currency, ``half_spread_bps`` paid on every execution, and
    ``commission_ppm`` millionths of its value.
    """

    fee_per_share: int = 30
    half_spread_bps: float = 2.5
    commission_ppm: int = 0

    @property
    def inside(self) -> int:
        """How far inside the touch an order is executed (1/10,000): at the mid where there is no spread to pay."""
        return 0 if self.half_spread_bps else LEAST_HALF_SPREAD

    def fees(self, prices: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Money (1/10,000) of each execution, as ``engine.core.positions`` books it."""
        of_value = commission_on_value.py_func
        return self.fee_per_share * shares + of_value(prices, shares, self.commission_ppm)

    def spread(self, prices: np.ndarray, shares: np.ndarray, sides: np.ndarray) -> np.ndarray:
        """Money (1/10,000) that each execution at ``prices`` gave up to half a spread; ``sides`` +1 and -1."""
        raise NotImplementedError
