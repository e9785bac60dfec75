"""What trading costs in a daily backtest."""

from dataclasses import dataclass

import numpy as np

from engine.backtest.days import LEAST_HALF_SPREAD
from engine.core.positions import HALF_A_MILLION, MILLION


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

    def fees(self, instruments: np.ndarray, prices: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Money (1/10,000) of each execution, in their order, as ``engine.core.positions`` books it: what rounding a
        commission on the value leaves is carried to the next one of the same instrument.
        """
        fees = self.fee_per_share * shares
        parts = prices * shares * self.commission_ppm
        for instrument in np.unique(instruments):
            mine = instruments == instrument
            fees[mine] += np.diff((np.cumsum(parts[mine]) + HALF_A_MILLION) // MILLION, prepend=0)
        return fees
