"""``manage.py import_history``: one JSON object last, and an exit code that says how it went."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from django.core.management import call_command
from django.db import OperationalError

from control.audit.models import AuditRow
from control.marketdata.models import Dataset
from engine.errors import BadInput
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


TICKS = {"20131007_ibm_Trade_Tick.csv": "34200000,1815200,283,P,1,0\n34200001,1815300,20,N,20000020,0\n"}


def archive(tmp_path: Path, members: dict[str, str], name: str) -> Path:
    with ZipFile(tmp_path / name, "w") as file:
        for member, content in members.items():
            file.writestr(member, content)
    return tmp_path / name


def test_ticks_become_rows_once_and_leave_a_run_and_an_audit_row(run, tmp_path: Path, store: Path) -> None:  # type: ignore[no-untyped-def]
    path = archive(tmp_path, TICKS, "20131007_trade.zip")
    code, answer = run(path, "--dataset", "ibm")
    assert (code, answer["state"], answer["accepted"], answer["tables"]) == (0, "imported", 2, {"trade": 2})
    assert open_history(store).rows("ibm", "trade")["price"].to_pylist() == [1815200, 1815300]
    again = run(path, "--dataset", "ibm")[1]
    assert (again["state"], again["added"], again["unchanged"]) == ("unchanged", 0, 2)
    assert open_history(store).rows("ibm", "trade").num_rows == 2
    assert AuditRow.objects.filter(action="dataset.import_ticks").count() == 2
    assert not Dataset.objects.exists(), "strategies are prepared from daily bars"


def test_another_file_of_the_same_symbol_and_time_changes_nothing(run, tmp_path: Path, store: Path) -> None:  # type: ignore[no-untyped-def]
    run(archive(tmp_path, TICKS, "a.zip"), "--dataset", "ibm")
    changed = {name: text.replace("1815200", "1815100") for name, text in TICKS.items()}
    code, answer = run(archive(tmp_path, changed, "b.zip"), "--dataset", "ibm")
    assert (code, answer["error"]["code"], answer["state"]) == (2, "overlap", "refused")
    assert open_history(store).rows("ibm", "trade").num_rows == 2


def test_a_tick_file_with_a_fault_at_its_end_leaves_nothing(run, tmp_path: Path, store: Path) -> None:  # type: ignore[no-untyped-def]
    [name] = TICKS
    code, answer = run(archive(tmp_path, {name: TICKS[name] + "34200002,x,1,P,1,0\n"}, "a.zip"), "--dataset", "ibm")
    assert (code, answer["state"], answer["accepted"]) == (2, "refused", 0)
    with pytest.raises(BadInput, match="unknown_dataset"):
        open_history(store).rows("ibm", "trade")


def test_a_lean_daily_archive_is_a_dataset_of_daily_bars(run, tmp_path: Path, store: Path) -> None:  # type: ignore[no-untyped-def]
    path = archive(tmp_path, {"ibm.csv": "19980102 00:00,1045000,1057500,1040600,1057500,2563200\n"}, "ibm.zip")
    code, answer = run(path)
    assert (code, answer["dataset"], answer["accepted"]) == (0, "ibm", 1)
    [bar] = open_history(store).bars("ibm").to_pylist()
    assert (bar["date"], bar["symbol"], bar["open"], bar["volume"]) == (19980102, "IBM", 1045000, 2563200)


def test_corporate_actions_are_events_of_their_day_and_change_no_price(run, tmp_path: Path, store: Path) -> None:  # type: ignore[no-untyped-def]
    text = (
        "date,symbol,action,numerator,denominator,amount\n2014-06-09,AAPL,split,7,1,\n2014-05-08,AAPL,dividend,,,3.29\n"
    )
    code, answer = run(write(tmp_path, text, "actions.csv"), "--dataset", "us")
    assert (code, answer["tables"]) == (0, {"corporate_action": 2})
    dividend, split = open_history(store).rows("us", "corporate_action").to_pylist()
    assert (dividend["code"], dividend["amount"]) == (2, 32_900)
    assert (split["code"], split["numerator"], split["denominator"]) == (1, 7, 1)
    assert split["time"] == np.datetime64("2014-06-09T04:00", "ns").astype(int)
    wrong = text.replace("split,7,1,", "split,0,1,")
    code, answer = run(write(tmp_path, wrong, "wrong.csv"), "--dataset", "other")
    assert (code, answer["error"]["code"]) == (2, "bad_row")


def test_a_file_is_compared_with_another_source(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run(write(tmp_path, LONG, "first.csv"))
    other = LONG.replace("45.08,", "45.99,").replace("45.35", "46.35")
    answer = run(write(tmp_path, other, "second.csv"), "--compare", "first")[1]
    told = [one for one in answer["quality"] if one["kind"] == "disagreement"]
    assert [(one["symbol"], one["date"]) for one in told] == [("A", 20130208), ("A", 20130208)]
    assert "close 45.99, in first 45.08; on 1 of 2 common days" in {one["detail"] for one in told}
