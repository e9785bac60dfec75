"""Limits as the exchange's record shows them: what counts as exceeded, and when."""

import pytest

from control.local.venue_limits import Account, Envelope

LIMITS = Envelope(max_order_qty=500, max_order_notional=100_000_000, max_position_qty=800)


def entry(kind, qty, side="buy", *, number, price=100_000, symbol="KO", account="HELIO1", replaces=0):
    return {
        "type": kind,
        "account": account,
        "user_ref_num": number,
        "symbol": symbol,
        "side": side,
        "price": price,
        "qty": qty,
        "replaces": replaces,
    }


def account(*entries):
    made = Account("HELIO1", LIMITS)
    for each in entries:
        made.take(each)
    return made


def test_what_works_counts_with_what_is_held():
    held = [entry("order", 500, number=1), entry("execution", 500, number=1)]
    assert account(*held, entry("order", 300, number=2)).breaches == 0
    assert account(*held, entry("order", 301, number=2)).breaches == 1


def test_buys_and_sells_are_never_netted():
    orders = [entry("order", 400, number=1), entry("order", 400, "sell", number=2), entry("order", 400, number=3)]
    assert account(*orders).breaches == 0
    assert account(*orders, entry("order", 1, number=4)).breaches == 1


def test_a_cancelled_order_works_no_longer():
    done = [entry("order", 500, number=1), entry("cancel", 500, number=1)]
    assert account(*done, entry("order", 500, number=2)).breaches == 0
    assert account(*done, entry("order", 500, number=2)).working.keys() == {2}


def test_a_replace_takes_the_place_of_its_origin():
    both = [entry("order", 500, number=1), entry("replace", 500, number=2, replaces=1)]
    assert account(*both).breaches == 0
    assert account(*both).worst == 500


@pytest.mark.parametrize(("qty", "price", "breaches"), [(500, 200_000, 0), (501, 100_000, 1), (500, 200_001, 1)])
def test_an_order_is_held_to_its_size_and_to_its_value(qty, price, breaches):
    assert account(entry("order", qty, number=1, price=price)).breaches == breaches


def test_symbols_and_accounts_do_not_add_up():
    others = [entry("order", 500, number=1), entry("order", 500, number=2, symbol="PEP")]
    assert account(*others, entry("order", 500, number=3, account="OTHER1")).breaches == 0
