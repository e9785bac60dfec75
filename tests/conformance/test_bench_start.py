"""``bench start`` without compiling: that core and agent become ready, and its keys. No figure is judged here."""

import json

from engine.__main__ import main

KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "commit", "machine", "start_s", "run_s", "import_numba_s"}


def test_a_core_and_an_agent_without_exchange_and_control_plane_become_ready(capsys) -> None:
    assert main(["bench", "start", "--starts-only", "--rounds", "1"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer.keys() >= KEYS
