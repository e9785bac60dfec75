"""Our daily SMA case against what vectorbt and backtrader printed (``make bench-peers``; the file has the date)."""

import json
from datetime import date
from pathlib import Path

import pytest

from engine.benchmarks.daily_panel import generated_closes, panel_digest, write_panel
from tests.bench.peers.bench_peers import FILLS, RECORD, differences, our_run

RECORDED = json.loads(RECORD.read_text())


def test_the_record_says_when_and_with_what_it_was_made() -> None:
    assert date(2026, 11, 1) < date.fromisoformat(RECORDED["recorded"])
    assert {peer: printed["version"] for peer, printed in RECORDED["peers"].items()} == {
        "vectorbt": "1.2.0",
        "backtrader": "1.9.78.123",
    }


@pytest.mark.parametrize("peer", FILLS)
def test_trades_and_final_equity_are_the_peers(peer: str, tmp_path: Path) -> None:
    closes = generated_closes()
    assert panel_digest(closes) == RECORDED["panel_sha256"]
    write_panel(tmp_path / "panel.csv", closes)
    ours = our_run(tmp_path / "panel.csv", FILLS[peer], tmp_path / "out")
    assert ours["orders"] == 3_555
    assert differences(ours, RECORDED["peers"][peer]) == []
