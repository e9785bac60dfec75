"""Sweeps and walk-forwards: many runs of one version, its other parameters chosen from a space of values.

The runs are rows like any other, at the lowest priority, so that a sweep holds nobody up; each result is a trial in the
ledger. A tick (``studies_advance``) goes on where runs have ended: a fold's choice is run out of sample, and a study
whose runs are all over is ended, with the probability that its best is overfitted (CSCV) where it has two curves.
"""

import itertools
import logging
import math
import random
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.backtests.leases import TASK
from control.backtests.models import ENDED, BacktestRun, Priority, State, Study, StudyKind
from control.errors import Conflict, InvalidInput
from control.strategies.content import hash_with, kernels
from control.strategies.models import StrategyVersion
from control.strategies.services import refuse_stale
from engine.dates import as_date
from engine.errors import BadInput
from engine.history import open_history
from engine.statistics.curve import DAYS_A_YEAR, returns_of
from engine.statistics.overfitting import overfitting_probability

MOST_RUNS = 2_000
BLOCKS = 10  # of CSCV: 252 ways to halve them
logger = logging.getLogger(__name__)
Parameters = dict[str, Any]


@transaction.atomic
def study_request(
    *,
    actor: User,
    version: StrategyVersion,
    kind: str,
    space: dict[str, list[Any]],
    samples: int | None = None,
    seed: int = 0,
    in_sample_years: int | None = None,
) -> Study:
    """Queue all runs of a study. Combinations that the strategy's own rules refuse (fast >= slow) are left out.

    Raises ``PermissionDenied``, ``InvalidInput`` for a space, a number or a history that does not do, and ``Conflict``
    when the engine here is not the one the version was made with.
    """
    desk = version.strategy.desk
    require(actor, "backtests.request_study", desk)
    refuse_stale(version)
    if kind not in StudyKind.values:
        raise InvalidInput("kind", "kind", f"{kind} is no kind of study; expected {', '.join(StudyKind.values)}.")
    chosen = _chosen(version, kind, space, samples, seed)
    folds = _folds(version, in_sample_years) if kind == StudyKind.WALK_FORWARD else [None]
    if len(chosen) * len(folds) > MOST_RUNS:
        raise InvalidInput("runs", "space", f"{len(chosen) * len(folds):,} runs; at most {MOST_RUNS:,}.")
    study = Study.objects.create(
        version=version,
        kind=kind,
        space=space,
        samples=samples if kind == StudyKind.RANDOM else None,
        seed=seed,
        in_sample_years=in_sample_years if kind == StudyKind.WALK_FORWARD else None,
        requested_by=actor,
    )
    hashes = [hash_with(version, version.parameters | parameters) for parameters in chosen]
    runs = [
        _run(study, parameters, content_hash, fold, window)
        for fold, window in enumerate(folds)
        for parameters, content_hash in zip(chosen, hashes, strict=True)
    ]
    _queue(runs)
    detail = {"version": str(version.pk), "kind": kind, "space": space, "runs": len(runs), "seed": seed}
    record(actor=actor, action="study.request", target=study, detail=detail, desk=desk)
    return study


@transaction.atomic
def study_cancel(*, actor: User, study: Study) -> int:
    """Cancel every run of ``study`` that is not over; returns how many. Raises ``PermissionDenied``, ``Conflict``."""
    study = Study.objects.select_for_update(of=("self",)).select_related("version__strategy__desk").get(pk=study.pk)
    desk = study.version.strategy.desk
    require(actor, "backtests.cancel_study", desk)
    if study.finished_at is not None:
        raise Conflict("state", "state", "The study is over.")
    queued = study.runs.filter(state=State.QUEUED).update(state=State.CANCELLED, finished_at=timezone.now())
    running = study.runs.filter(state=State.RUNNING).update(state=State.CANCELLING)
    detail = {"queued": queued, "running": running}
    record(actor=actor, action="study.cancel", target=study, detail=detail, desk=desk)
    return queued + running


def studies_advance() -> int:
    """Go on with every study that has runs over; returns how many studies have ended."""
    return sum(_advance(pk) for pk in Study.objects.filter(finished_at=None).values_list("pk", flat=True))


@transaction.atomic
def _advance(pk: Any) -> bool:
    study = Study.objects.select_for_update(skip_locked=True).filter(pk=pk, finished_at=None).first()
    if study is None:
        return False  # another worker has it
    if study.kind == StudyKind.WALK_FORWARD:
        _run_choices(study)
    if study.runs.exclude(state__in=ENDED).exists():
        return False
    study.finished_at = timezone.now()
    study.overfitting = _overfitting(study)
    study.save(update_fields=["finished_at", "overfitting"])
    detail = {"runs": study.runs.count(), "succeeded": study.runs.filter(state=State.SUCCEEDED).count()}
    record(actor="worker", action="study.end", target=study, detail=detail, desk=study.version.strategy.desk)
    return True


def best_of(runs: list[BacktestRun]) -> BacktestRun | None:
    """The highest Sharpe ratio; of equal ones the first in the order of parameters."""
    known = [run for run in runs if run.state == State.SUCCEEDED and run.statistics.get("sharpe") is not None]
    return max(
        known, key=lambda run: (run.statistics["sharpe"], sorted(map(str, run.parameters.items()))), default=None
    )


def _run_choices(study: Study) -> None:
    """Each fold whose runs are over and that has no choice yet: its best again, on the year that follows."""
    by_fold: dict[int, list[BacktestRun]] = {}
    for run in study.runs.order_by("fold", "requested_at", "pk"):
        by_fold.setdefault(run.fold, []).append(run)
    for fold, runs in by_fold.items():
        if any(run.out_of_sample or not run.ended for run in runs) or any(r.state == State.CANCELLED for r in runs):
            continue
        best = best_of(runs)
        if best is not None and best.last is not None:
            window = (date(best.last.year + 1, 1, 1), date(best.last.year + 1, 12, 31))
            chosen = _run(study, best.parameters, best.content_hash, fold, window)
            chosen.out_of_sample = True
            _queue([chosen])


def _overfitting(study: Study) -> dict[str, float] | None:
    """Of a sweep's curves, all over the same days; None where they cannot be cross-validated."""
    if study.kind == StudyKind.WALK_FORWARD:
        return None  # it is out of sample already
    curves = []
    for run in study.runs.filter(state=State.SUCCEEDED).order_by("pk"):
        try:
            curves.append(pq.read_table(run.folder / "equity.parquet", columns=["equity"])["equity"].cast("float64"))
        except OSError as error:
            logger.warning("%s cannot be cross-validated: %s", run, error)
    lengths = {len(curve) for curve in curves}
    if len(lengths) != 1:
        return None
    try:
        found = overfitting_probability(np.column_stack([returns_of(curve.to_numpy()) for curve in curves]), BLOCKS)
    except BadInput as error:
        logger.info("%s is not cross-validated: %s", study, error)
        return None
    return {"probability": found.probability, "loss_probability": found.loss_probability, "ways": len(found.logits)}


def _run(study: Study, parameters: Parameters, content_hash: str, fold: int | None, window: Any) -> BacktestRun:
    first, last = window or (None, None)
    return BacktestRun(
        version=study.version,
        study=study,
        parameters=parameters,
        content_hash=content_hash,
        fold=fold if window else None,
        first=first,
        last=last,
        priority=Priority.LOW,
        requested_by=study.requested_by,
        dispatched_at=timezone.now(),
    )


def _queue(runs: list[BacktestRun]) -> None:
    BacktestRun.objects.bulk_create(runs)

    def tell() -> None:
        for run in runs:
            current_app.send_task(TASK, args=[str(run.pk)])

    transaction.on_commit(tell, robust=True)


def _chosen(version: StrategyVersion, kind: str, space: dict[str, list[Any]], samples: int | None, seed: int) -> Any:
    """The combinations to run: of a grid all, of a random search ``samples``, each once."""
    model = kernels()[version.strategy.kernel].parameters_model
    _check_space(model, space)
    size = math.prod(len(values) for values in space.values())
    if kind != StudyKind.RANDOM:
        if size > MOST_RUNS:
            raise InvalidInput("space", "space", f"{size:,} combinations; at most {MOST_RUNS:,}.")
        candidates: Iterator[int] = iter(range(size))
        wanted = size
    elif samples is None or not 1 <= samples <= MOST_RUNS:
        raise InvalidInput("samples", "samples", f"{samples} samples; expected 1 to {MOST_RUNS:,}.")
    else:
        # Numbers of combinations, so that a space of any size is drawn from without being written out.
        drawn = min(size, 4 * samples)
        candidates, wanted = iter(random.Random(seed).sample(range(size), drawn)), samples  # noqa: S311 - no secret
    valid = (parameters for number in candidates if _holds(model, version, parameters := _combination(space, number)))
    chosen = list(itertools.islice(valid, wanted))
    if not chosen:
        raise InvalidInput("space", "space", "The strategy's own rules refuse every combination of these values.")
    return chosen


def _combination(space: dict[str, list[Any]], number: int) -> Parameters:
    """The ``number``-th of all combinations, in the order of a nested loop."""
    chosen = {}
    for name, values in reversed(space.items()):
        number, position = divmod(number, len(values))
        chosen[name] = values[position]
    return dict(reversed(chosen.items()))


def _check_space(model: Any, space: dict[str, list[Any]]) -> None:
    if not isinstance(space, dict) or not space:
        raise InvalidInput("space", "space", "Name at least one parameter with the values it may take.")
    for name, values in space.items():
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise InvalidInput("space", f"space.{name}", f"{name} is no parameter; expected one of {known}.")
        if not isinstance(values, list) or not values or len({str(value) for value in values}) != len(values):
            raise InvalidInput("space", f"space.{name}", f"{name} needs a list of different values.")


def _holds(model: Any, version: StrategyVersion, parameters: Parameters) -> bool:
    try:
        model.model_validate(version.parameters | parameters)
    except ValidationError:
        return False
    return True


def _folds(version: StrategyVersion, in_sample_years: int | None) -> list[tuple[date, date]]:
    """In-sample windows of whole calendar years, each with a whole year after it and the formation's days before it."""
    if in_sample_years is None or not 1 <= in_sample_years <= 20:
        raise InvalidInput("in_sample_years", "in_sample_years", f"{in_sample_years} years; expected 1 to 20.")
    meta = open_history(settings.HISTORY_ROOT).describe(version.dataset)
    first, last = as_date(meta.first), as_date(meta.last)
    model = kernels()[version.strategy.kernel].parameters_model
    parameters = model.model_validate(version.parameters)
    formed = math.ceil(getattr(parameters, "formation_days", 0) / DAYS_A_YEAR)
    earliest = first.year + formed + (0 if (first.month, first.day) <= (1, 7) else 1)
    latest = last.year if (last.month, last.day) >= (12, 24) else last.year - 1
    starts = range(earliest, latest - in_sample_years + 1)
    if not starts:
        message = (
            f"{version.dataset} has no {in_sample_years} whole years with one more after them, from {earliest} on."
        )
        raise InvalidInput("too_little_history", "in_sample_years", message)
    return [(date(year, 1, 1), date(year + in_sample_years - 1, 12, 31)) for year in starts]
