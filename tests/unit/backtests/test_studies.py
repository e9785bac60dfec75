"""Sweeps and walk-forwards: what is run, what is chosen, when it is over."""

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from control.audit.models import AuditRow
from control.backtests import leases, studies
from control.backtests.models import BacktestRun, Priority, State, Study
from control.backtests.selectors import backtest_succeeded, studies_visible_to
from control.errors import Conflict, InvalidInput
from control.strategies.models import StrategyVersion

pytestmark = pytest.mark.django_db
SPACE = {"lookback": [20, 30], "entry": [1.0, 2.0, 5.0]}  # 5.0 is beyond the stop at 4.0


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any) -> None:
    monkeypatch.setattr("celery.current_app.send_task", lambda name, args: None)
    settings.BACKTEST_ROOT = tmp_path


def request(people: SimpleNamespace, version: StrategyVersion, **arguments: Any) -> Study:
    return studies.study_request(
        **{"actor": people.quant, "version": version, "kind": "grid", "space": SPACE} | arguments
    )


def succeed(run: BacktestRun, sharpe: float, curve: np.ndarray | None = None) -> None:
    """As a worker would, with an equity file where there is a ``curve``."""
    held = leases.backtest_claim(run_id=str(run.pk), worker="w")
    assert held is not None
    partial = Path(run.folder.parent) / f".{run.pk}"
    partial.mkdir(parents=True)
    if curve is not None:
        money = pa.array([Decimal(f"{value:.4f}") for value in curve], pa.decimal128(20, 4))
        pq.write_table(pa.table({"equity": money}), partial / "equity.parquet")
    statistics = {"sharpe": sharpe, "days": 500}
    result = SimpleNamespace(manifest_hash=run.content_hash, result_sha256="d" * 64, statistics=statistics)
    leases.backtest_finish(run=held, worker="w", result=result, partial=partial)


def test_a_grid_runs_every_combination_that_the_strategy_takes(people: SimpleNamespace, draft: StrategyVersion) -> None:
    study = request(people, draft)
    chosen = {(run.parameters["lookback"], run.parameters["entry"]) for run in study.runs.all()}
    assert chosen == {(20, 1.0), (20, 2.0), (30, 1.0), (30, 2.0)}
    assert {run.priority for run in study.runs.all()} == {Priority.LOW}
    assert len({run.content_hash for run in study.runs.all()}) == 4
    assert AuditRow.objects.get(action="study.request").detail["runs"] == 4


def test_a_sweep_is_no_evidence_for_an_approval(people: SimpleNamespace, draft: StrategyVersion) -> None:
    study = request(people, draft, space={"lookback": [draft.parameters["lookback"], 25]})
    for run in study.runs.all():
        succeed(run, 1.0)
    assert study.runs.filter(content_hash=draft.content_hash, state=State.SUCCEEDED).count() == 1
    assert not backtest_succeeded(draft)


def test_a_random_search_draws_each_combination_once_and_the_same_by_its_seed(
    people: SimpleNamespace, draft: StrategyVersion
) -> None:
    space = {"lookback": list(range(10, 100)), "entry": [1 + step / 100 for step in range(200)]}
    drawn = []
    for seed in (1, 1, 2):
        study = request(people, draft, kind="random", space=space, samples=25, seed=seed)
        drawn.append(sorted(str(run.parameters) for run in study.runs.all()))
    assert len(set(drawn[0])) == 25
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"space": {}}, "space"),
        ({"space": {"lookbck": [1]}}, "space.lookbck"),
        ({"space": {"lookback": [20, 20]}}, "space.lookback"),
        ({"space": {"entry": [9.0]}}, "space"),
        ({"space": {"lookback": list(range(10, 110)), "max_pairs": list(range(1, 60))}}, "space"),
        ({"kind": "random"}, "samples"),
        ({"kind": "optuna"}, "kind"),
        ({"kind": "walk_forward"}, "in_sample_years"),
        ({"kind": "walk_forward", "in_sample_years": 3}, "in_sample_years"),  # the dataset has four days
    ],
)
def test_what_cannot_be_run_is_refused_and_nothing_is_queued(
    people: SimpleNamespace, draft: StrategyVersion, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        request(people, draft, **arguments)
    assert refused.value.field == field
    assert not Study.objects.exists()
    assert not BacktestRun.objects.exists()


def test_only_a_quant_of_the_desk_asks_for_a_study(
    people: SimpleNamespace, outsider: Any, draft: StrategyVersion
) -> None:
    for actor in (people.viewer, people.trader, people.admin, outsider("quant")):
        with pytest.raises(PermissionDenied):
            request(people, draft, actor=actor)
    assert not Study.objects.exists()
    study = request(people, draft)
    assert list(studies_visible_to(people.viewer)) == [study]
    assert not studies_visible_to(outsider("risk_officer")).exists()


def test_a_sweep_ends_with_its_last_run_and_says_how_likely_its_best_is_overfitted(
    people: SimpleNamespace, draft: StrategyVersion
) -> None:
    study = request(people, draft)
    random = np.random.default_rng(4)
    runs = list(study.runs.order_by("pk"))
    for position, run in enumerate(runs):
        assert studies.studies_advance() == 0
        returns = random.normal(0.003 if position == 0 else 0.0, 0.01, 500)  # one has skill
        succeed(run, 1.0, 1e6 * np.cumprod(1 + returns))
    assert studies.studies_advance() == 1
    study.refresh_from_db()
    assert study.finished_at is not None
    assert study.overfitting == {"probability": 0.0, "loss_probability": 0.0, "ways": 252}
    assert studies.studies_advance() == 0
    assert AuditRow.objects.filter(action="study.end", object_id=str(study.pk)).count() == 1


def test_a_walk_forward_tests_each_folds_best_on_the_year_after(
    people: SimpleNamespace, draft: StrategyVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History from 2010 to 2016, two years of formation: 2012-13, 2013-14 and 2014-15 choose."""
    span = SimpleNamespace(first=20100104, last=20161230)
    monkeypatch.setattr(studies, "open_history", lambda root: SimpleNamespace(describe=lambda dataset: span))
    study = request(people, draft, kind="walk_forward", space={"lookback": [20, 30]}, in_sample_years=2)
    windows = {(run.fold, run.first.year, run.last.year) for run in study.runs.all()}
    assert windows == {(0, 2012, 2013), (1, 2013, 2014), (2, 2014, 2015)}
    for run in study.runs.all():
        better = run.parameters["lookback"] == (20 if run.fold == 1 else 30)
        succeed(run, 1.5 if better else 0.5)
    assert studies.studies_advance() == 0
    tested = study.runs.filter(out_of_sample=True).order_by("fold")
    assert [(run.first.year, run.last.year, run.parameters["lookback"]) for run in tested] == [
        (2014, 2014, 30),
        (2015, 2015, 20),
        (2016, 2016, 30),
    ]
    assert studies.studies_advance() == 0  # and no second choice
    assert study.runs.filter(out_of_sample=True).count() == 3
    for run in tested:
        succeed(run, 0.2)
    assert studies.studies_advance() == 1


def test_a_failed_run_does_not_hold_a_study_up(people: SimpleNamespace, draft: StrategyVersion) -> None:
    study = request(people, draft, space={"lookback": [20, 30]})
    good, bad = study.runs.all()
    succeed(good, 1.0)
    leases.backtest_fail(run=leases.backtest_claim(run_id=str(bad.pk), worker="w"), worker="w", error="ValueError: no")
    assert studies.studies_advance() == 1
    study.refresh_from_db()
    assert study.overfitting is None


def test_cancelling_takes_what_waits_out_and_stops_what_runs(people: SimpleNamespace, draft: StrategyVersion) -> None:
    study = request(people, draft)
    done, running, *_waiting = study.runs.order_by("pk")
    succeed(done, 1.0)
    held = leases.backtest_claim(run_id=str(running.pk), worker="w")
    assert held is not None
    with pytest.raises(PermissionDenied):
        studies.study_cancel(actor=people.viewer, study=study)
    assert studies.study_cancel(actor=people.trader, study=study) == 3
    states = sorted(study.runs.values_list("state", flat=True))
    assert states == ["cancelled", "cancelled", "cancelling", "succeeded"]
    leases.backtest_cancelled(run=held, worker="w")
    assert studies.studies_advance() == 1
    with pytest.raises(Conflict, match="is over"):
        studies.study_cancel(actor=people.quant, study=study)


def test_the_database_refuses_a_study_that_cannot_be(people: SimpleNamespace, draft: StrategyVersion) -> None:
    study = request(people, draft)
    for change in ({"kind": "random"}, {"kind": "walk_forward"}, {"kind": "guess"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Study.objects.filter(pk=study.pk).update(**change)
