"""Money between people, who write decimals, and engines, which count 1/10,000 of the currency."""

from decimal import Decimal

import pytest

from control.money import money, money_units


def test_an_amount_comes_back_from_the_engine_as_it_went() -> None:
    assert money_units(Decimal("500000.25")) == 5_000_002_500
    assert money(5_000_002_500) == Decimal("500000.25")
    assert money_units(Decimal("-0.0001")) == -1
    assert str(money(-1)) == "-0.0001"


def test_a_fifth_decimal_is_refused_and_never_cut_off() -> None:
    with pytest.raises(ValueError, match="0.00001"):
        money_units(Decimal("0.00001"))
