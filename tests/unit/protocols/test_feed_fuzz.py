"""A bounded run of ``tests/bench/fuzz_feed.py``, in a process of its own: a read out of bounds would end it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "fuzz_feed.py"
COUNT = 150_000


@pytest.fixture(scope="module")
def answer() -> dict:
    command = [sys.executable, str(SCRIPT), "--count", str(COUNT), "--seed", "11"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_mutated_messages_and_packets_crash_nothing_and_damage_no_other_book(answer: dict) -> None:
    assert answer["ok"]
    assert answer["mutated"] >= COUNT
    assert [answer[part]["failures"] for part in ("messages", "packets", "protocols")] == [[], [], []]


def test_every_mutation_happens_and_every_reason_is_met(answer: dict) -> None:
    assert all(count > 0 for count in answer["messages"]["mutations"].values())
    reasons = ("unsubscribed", "no_event", "remapped", "unknown_type", "wrong_length", "truncated", "bad_field")
    assert all(answer["messages"]["decoder"][reason] > 0 for reason in reasons)
    assert answer["messages"]["anomalies"]
    assert {"truncated", "wrong_length", "implausible_sequence", "foreign_session"} <= answer["packets"][
        "receiver"
    ].keys()
