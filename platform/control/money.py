"""Money between people and engines: decimals of the currency here, whole 1/10,000 of it there."""

from decimal import Decimal

from engine.messages import PRICE_SCALE

PLACES = 4
assert PRICE_SCALE == 10**PLACES, "the database keeps exactly what the engine counts"


def money_units(amount: Decimal) -> int:
    """An amount or a price in the currency as an engine counts it. Raises ``ValueError`` for a fifth decimal."""
    units = amount * PRICE_SCALE
    if units != units.to_integral_value():
        raise ValueError(f"{amount} is no whole number of 1/10,000")
    return int(units)


def money(units: int) -> Decimal:
    """1/10,000 of the currency as a decimal with four places."""
    return Decimal(units).scaleb(-PLACES)
