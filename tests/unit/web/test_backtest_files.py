"""Taking a tear sheet away, noting, comparing; the pages of a study."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control.audit.models import AuditRow
from control.backtests.models import BacktestRun, Study
from control.strategies.models import StrategyVersion
from tests.backtest_result import write_result

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(approved: StrategyVersion, tmp_path: Path, settings: Any) -> BacktestRun:
    settings.BACKTEST_ROOT = tmp_path
    run = approved.backtests.get()
    run.statistics = write_result(tmp_path / "run")
    run.result_sha256 = sha256(str(tmp_path).encode()).hexdigest()
    run.save()
    return run


@pytest.mark.parametrize(("form", "begins"), [("html", b"<!doctype html>"), ("pdf", b"%PDF-")])
def test_a_tear_sheet_is_taken_as_a_file_and_that_is_written_down(
    run: BacktestRun, people: SimpleNamespace, signed_in: Callable[..., Client], form: str, begins: bytes
) -> None:
    answer = signed_in(people.trader).post(reverse("backtest-file", args=[run.pk, form]))
    assert answer.status_code == 200
    assert answer.content.startswith(begins)
    assert answer["Content-Disposition"] == f'attachment; filename="backtest-{run.result_sha256[:12]}.{form}"'
    row = AuditRow.objects.get(action="backtest.export")
    assert (row.actor, row.object_id) == (people.trader, str(run.pk))
    assert row.detail == {"form": form, "sha256": sha256(answer.content).hexdigest()}


def test_a_viewer_takes_no_file_and_nothing_is_written_down(
    run: BacktestRun, people: SimpleNamespace, signed_in: Callable[..., Client]
) -> None:
    address = reverse("backtest-file", args=[run.pk, "pdf"])
    assert signed_in(people.viewer).post(address).status_code == 403
    assert signed_in(people.trader).get(address).status_code == 405
    assert signed_in(people.trader).post(reverse("backtest-file", args=[run.pk, "exe"])).status_code == 404
    assert not AuditRow.objects.filter(action="backtest.export").exists()


def test_a_result_whose_files_are_gone_says_so(
    run: BacktestRun, people: SimpleNamespace, signed_in: Callable[..., Client]
) -> None:
    BacktestRun.objects.update(result_dir="elsewhere", result_sha256="0" * 64)
    answer = signed_in(people.trader).post(reverse("backtest-file", args=[run.pk, "pdf"]), follow=True)
    assert b"cannot be read" in answer.content


def test_the_page_shows_the_tear_sheets_figures(
    run: BacktestRun, people: SimpleNamespace, signed_in: Callable[..., Client]
) -> None:
    layout = signed_in(people.viewer).get(f"/dash/backtest/{run.pk}/_dash-layout").content.decode()
    for words in ("Return and risk", "Deflated Sharpe", "Costs by kind, USD", "Deepest drawdowns", "By symbol, USD"):
        assert words in layout


def test_notes_are_kept_from_the_page(
    run: BacktestRun, people: SimpleNamespace, signed_in: Callable[..., Client]
) -> None:
    client = signed_in(people.quant)
    client.post(reverse("backtest-note", args=[run.pk]), {"notes": "wide <stop>", "tags": "Idea, second"})
    page = client.get(reverse("backtest-detail", args=[run.pk])).content.decode()
    assert "wide &lt;stop&gt;" in page
    run.refresh_from_db()
    assert run.tags == ["idea", "second"]


def test_results_stand_side_by_side_with_what_differs(
    run: BacktestRun, people: SimpleNamespace, signed_in: Callable[..., Client], outsider: Callable[[str], Any]
) -> None:
    address = reverse("backtest-compare") + f"?run={run.pk}&run={run.pk}"
    page = signed_in(people.viewer).get(address).content.decode()
    assert "Probabilistic Sharpe" in page
    assert page.count("<polyline") == 1  # named twice, it is one
    assert "Nothing differs" in page
    assert signed_in(outsider("quant")).get(address).status_code == 403
    assert "Nothing to compare" in signed_in(people.viewer).get(reverse("backtest-compare")).content.decode()
    assert signed_in(people.viewer).get(reverse("backtest-compare") + "?run=x").status_code == 404


def test_a_study_is_asked_for_seen_and_cancelled(
    approved: StrategyVersion, people: SimpleNamespace, signed_in: Callable[..., Client], monkeypatch: Any
) -> None:
    monkeypatch.setattr("celery.current_app.send_task", lambda name, args: None)
    client, address = signed_in(people.quant), reverse("study-new", args=[approved.pk])
    assert "Values by commas" in client.get(address).content.decode()
    wrong = client.post(address, {"kind": "grid", "seed": "7", "space.lookback": "20:x:5"})
    assert wrong.status_code == 422
    assert "x is no number." in wrong.content.decode()
    values = {"kind": "grid", "seed": "7", "space.lookback": "20:40:10", "space.entry": "1.5, 2"}
    page = client.post(address, values, follow=True).content.decode()
    study = Study.objects.get()
    assert study.runs.count() == 6
    assert "0 of 6 runs are over" in page
    for run in study.runs.all():
        sharpe = run.parameters["lookback"] / 10 - run.parameters["entry"]
        BacktestRun.objects.filter(pk=run.pk).update(statistics={"sharpe": sharpe})
    context = client.get(reverse("study-detail", args=[study.pk])).context
    surface = context["surface"]
    assert (surface["down"], surface["across"], surface["values"]) == ("entry", "lookback", [20, 30, 40])
    shown = {
        (value, other): cell[0]
        for value, cells in surface["rows"]
        for other, cell in zip(surface["values"], cells, strict=True)
    }
    assert shown[2.0, 40] == pytest.approx(4 - 2)
    assert shown[1.5, 20] == pytest.approx(2 - 1.5)
    client.post(reverse("study-stop", args=[study.pk]))
    assert set(study.runs.values_list("state", flat=True)) == {"cancelled"}
