"""What taking shares does to the price, where the book cannot move: a worse price for the later part of an order."""

from typing import Protocol


class Impact(Protocol):
    def price(self, price: int, side: int, swept: int, shown: int) -> int:
        """The price (1/10,000) of shares displayed at ``price``, of which the order has taken ``swept`` of ``shown``.

        ``side`` is the taker's: +1 buys, and pays more.
        """
        ...


class NoImpact:
    """The displayed price, whatever was taken before."""

    def price(self, price: int, side: int, swept: int, shown: int) -> int:
        return price


class LinearImpact:
    """``basis_points`` for taking all that is displayed, in proportion for less; rounded against the taker."""

    def __init__(self, basis_points: int) -> None:
        if basis_points < 0:
            raise ValueError(f"basis_points: {basis_points}, expected at least 0")
        self._basis_points = basis_points

    def price(self, price: int, side: int, swept: int, shown: int) -> int:
        if shown <= 0:
            return price
        return price + side * -(-price * self._basis_points * swept // (shown * 10_000))
