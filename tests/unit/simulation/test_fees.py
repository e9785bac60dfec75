"""What an execution costs: by its liquidity flag, exactly."""

import json
from pathlib import Path

import pytest
from exchange_world import World

from engine.protocols import ouch
from engine.simulation.fees import Fees

# 0.0030 a share taken, 0.0020 paid back for a share made: Nasdaq's usual order of magnitude.
FEES = Fees(added=-20, added_hidden=-5, removed=30, auction=15)


@pytest.mark.parametrize(
    ("flag", "qty", "fee"),
    [("R", 100, 3_000), ("A", 100, -2_000), ("J", 7, -35), ("O", 10, 150), ("C", 10, 150), ("K", 10, 150), ("k", 9, 0)],
)
def test_fee_is_rate_times_shares(flag: str, qty: int, fee: int):
    assert FEES.of(flag, qty) == fee


def test_flag_that_nobody_gives_is_an_error():
    with pytest.raises(KeyError):
        FEES.of("X", 1)


def test_record_has_what_each_side_of_a_trade_paid_or_earned(tmp_path: Path):
    world = World(tmp_path, fees=FEES)
    world.open_market()
    inside = world.quote("KO", "B") + 100
    world.send(ouch.EnterOrder(1, "B", 80, "KO", inside), "ONE")
    world.send(ouch.EnterOrder(1, "S", 80, "KO", inside, time_in_force="3"), "TWO")
    lines = [json.loads(line) for line in world.record.path.read_text().splitlines()]
    assert [(line["account"], line["fee"]) for line in lines if line["type"] == "execution"] == [
        ("ONE", -1_600),
        ("TWO", 2_400),
    ]
