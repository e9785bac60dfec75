"""``bench journal``: its keys, that every record it wrote verifies, and what it leaves. No figure is judged here."""

import json
from pathlib import Path

import pytest

from engine.__main__ import main

KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "commit", "machine"} | {
    "file_system",
    "events_per_s",
    "batch_events_per_s",
    "verify_events_per_s",
}


def test_the_benchmark_writes_segments_that_verify_and_removes_them(tmp_path: Path, capsys) -> None:
    assert main(["bench", "journal", "--folder", str(tmp_path), "--records", "300000", "--rounds", "1"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer.keys() >= KEYS
    assert answer["segments"] == 2
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_refuses_a_folder_in_memory_by_name(capsys) -> None:
    assert main(["bench", "journal", "--folder", "/dev/shm"]) == 2
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert error["code"] == "not_on_disk"
    assert error["value"] == "/dev/shm (tmpfs)"


@pytest.mark.parametrize("records", ["1000", "245700"])
def test_the_benchmark_refuses_to_measure_without_a_change_of_segments(records: str, tmp_path: Path, capsys) -> None:
    assert main(["bench", "journal", "--folder", str(tmp_path), "--records", records]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["field"] == "records"
