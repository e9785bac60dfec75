"""``manage.py import_history``: one JSON object last, and an exit code that says how it went."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError

from control.marketdata.models import Dataset
from engine.history import open_history

pytestmark = pytest.mark.django_db

LONG = (
    "date,open,high,low,close,volume,Name\n"
    "2013-02-08,45.07,45.35,45.0,45.08,1824755,A\n"
    "2013-02-11,,45.18,44.45,44.6,2915405,A\n"
)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Any) -> Path:
    settings.HISTORY_ROOT = tmp_path / "history"
    return tmp_path / "history"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs the command; its exit code and the object of its last line."""

    def command(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = 0
        try:
            call_command("import_history", *map(str, arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return command


def write(tmp_path: Path, text: str, name: str = "My Prices.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_file_is_imported_under_a_name_made_from_its_own(run, tmp_path: Path, store: Path) -> None:  # type: ignore[no-untyped-def]
    code, answer = run(write(tmp_path, LONG))
    assert code == 0
    assert (answer["dataset"], answer["accepted"], answer["rejected"]) == ("my_prices", 2, 0)
    assert answer["errors"] == []
    assert [entry["kind"] for entry in answer["quality"]] == ["missing_open"]
    assert answer["data_hash"] == open_history(store).data_hash("my_prices")
    assert Dataset.objects.get(name="my_prices").source == "My Prices.csv"


def test_without_a_file_the_shipped_panel_comes_in_with_its_warnings(run) -> None:  # type: ignore[no-untyped-def]
    code, answer = run()
    assert (code, answer["dataset"], answer["accepted"]) == (0, "sp500_20", 166_260)
    dataset = Dataset.objects.get(name="sp500_20")
    assert dataset.adjusted
    assert dataset.survivors_only


def test_a_file_with_a_faulty_row_is_refused_with_row_and_column(run, tmp_path: Path, store: Path) -> None:  # type: ignore[no-untyped-def]
    code, answer = run(write(tmp_path, LONG.replace("45.08", "abc")), "--dataset", "d")
    assert code == 2
    assert (answer["accepted"], answer["rejected"]) == (0, 1)
    assert answer["errors"] == [{"row": 2, "column": "close", "reason": "'abc' is not a number"}]
    assert answer["error"]["code"] == "bad_rows"
    assert answer["error"]["field"] == "row 2, column close"
    assert not store.exists()
    code, answer = run(tmp_path / "My Prices.csv", "--dataset", "d", "--skip-bad-rows")
    assert (code, answer["accepted"], answer["rejected"]) == (0, 1, 1)


def test_a_file_that_is_unusable_is_refused_with_the_same_keys(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, answer = run(write(tmp_path, LONG.replace("close", "last")))
    assert code == 2
    assert answer["error"] == {
        "code": "missing_column",
        "field": "header",
        "value": "close",
        "expected": "columns date, symbol (or name, ticker), open, high, low, close, volume",
    }
    assert (answer["accepted"], answer["errors"], answer["quality"]) == (0, [], [])
    assert run(tmp_path / "nothing.csv")[0] == 2
    assert not Dataset.objects.exists()


@pytest.mark.parametrize("arguments", [("--dataset", "../up"), ("--actor", "nobody")])
def test_wrong_options_are_refused(run, tmp_path: Path, store: Path, arguments: tuple[str, str]) -> None:  # type: ignore[no-untyped-def]
    code, answer = run(write(tmp_path, LONG), *arguments)
    assert code == 2
    assert answer["error"]["value"] == arguments[1]
    assert not store.exists()


def test_an_option_that_there_is_not_is_answered_like_all_bad_input(run) -> None:  # type: ignore[no-untyped-def]
    code, answer = run("--no-such-option")
    assert (code, answer["error"]["code"]) == (2, "usage")
    assert "--no-such-option" in answer["error"]["value"]


def test_a_user_without_the_permission_is_refused(run, tmp_path: Path, people) -> None:  # type: ignore[no-untyped-def]
    assert run(write(tmp_path, LONG), "--actor", people.quant.username)[1]["error"]["code"] == "not_allowed"
    code, answer = run(write(tmp_path, LONG), "--actor", people.admin.username)
    assert (code, answer["accepted"]) == (0, 2)


def test_without_a_database_the_answer_says_what_brings_one(run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def refuse(**_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("control.marketdata.management.commands.import_history.dataset_import", refuse)
    code, answer = run(write(tmp_path, LONG))
    assert code == 3
    assert "make run" in answer["error"]["expected"]


def test_the_505_symbol_panel_is_usable_as_it_is(run, shared_data: Path) -> None:  # type: ignore[no-untyped-def]
    code, answer = run(next((shared_data / "sp500_daily").glob("*.csv.xz")), "--dataset", "sp500_505")
    assert (code, answer["accepted"], answer["rejected"]) == (0, 619_040, 0)
    assert {"missing_open", "high_below_low", "zero_volume", "jump"} <= {entry["kind"] for entry in answer["quality"]}
    assert Dataset.objects.get(name="sp500_505").symbol_count == 505
