"""The matching benchmark: what its line says, on a stream small enough for every run of the tests."""

import json

import numpy as np

from engine.__main__ import main
from engine.benchmarks import matching


def test_line_has_both_rates_their_ratio_the_mix_and_equal_books(capsys):
    sizes = ["--messages", "4000", "--symbols", "5", "--rounds", "1", "--prefix", "600"]
    assert main(["bench", "matching", *sizes]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["ours"] == line["orders_per_s"]
    assert abs(line["ratio"] * line["peer"] - line["ours"]) <= line["peer"]
    assert line["check"]["equal"]
    assert line["check"]["executions"] > 0
    assert set(line["mix"]) == {*matching.NEW_ORDERS, "cancel", "reduce"}


def test_stream_depends_on_its_seed_alone_and_every_cancel_comes_behind_its_order():
    one, same, other = (matching.stream(3_000, 5, seed) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()
    follow = np.isin(one["what"], (matching.CANCEL, matching.REDUCE))
    assert (one["target"][follow] < np.flatnonzero(follow)).all()
    assert not np.isin(one["what"][one["target"][follow]], (matching.CANCEL, matching.REDUCE)).any()
