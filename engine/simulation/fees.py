"""What a venue charges or pays a share, by the liquidity flag of the execution (OUCH 5.0 Appendix D).

Rates are integers in 1/10,000 of the currency a share: 30 is 0.0030. Negative rates are rebates. A fee is exact: rate
times shares.
"""

import msgspec


class Fees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By default nothing costs anything."""

    added: int = 0  # a displayed order that was traded with
    added_hidden: int = 0
    added_midpoint: int = 0
    removed: int = 0
    removed_midpoint: int = 0
    auction: int = 0

    def rate(self, flag: str) -> int:
        """Raises ``KeyError`` for a flag that this exchange does not give."""
        return {
            "A": self.added,
            "J": self.added_hidden,
            "k": self.added_midpoint,
            "R": self.removed,
            "m": self.removed_midpoint,
            "O": self.auction,
            "C": self.auction,
            "K": self.auction,
        }[flag]

    def of(self, flag: str, qty: int) -> int:
        """What an execution of ``qty`` shares costs, in 1/10,000 of the currency; negative: what it earns."""
        return self.rate(flag) * qty


NO_FEES = Fees()
