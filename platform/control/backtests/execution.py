"""One claimed run, in the worker process: the computation here, lease and progress in a thread beside it."""

import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec
from django.conf import settings
from django.db import OperationalError, connection

from control.backtests import leases
from control.backtests.models import BacktestRun
from control.strategies.content import manifest_of
from control.strategies.services import refuse_stale
from engine.backtest import BacktestCancelled
from engine.dates import as_yyyymmdd
from engine.messages import Manifest

TICK = 0.25  # seconds: progress is written four times a second at most
RENEW = 1.0  # seconds: the lease is renewed, and a cancel is seen, at least this often
Compute = Callable[..., Any]
logger = logging.getLogger(__name__)


def execute_next(compute: Compute) -> None:
    """Claim the most urgent run and see it through. ``compute`` is ``engine.backtest.run_backtest``.

    Whatever goes wrong in it ends the run as failed, with the exception's class and message.
    """
    worker = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
    run = leases.backtest_take(worker=worker)
    if run is None:
        return  # all are claimed by other workers or cancelled, or the message came twice
    partial = settings.BACKTEST_ROOT / f".{run.pk}.{run.attempts}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _see_through(run, worker, partial, compute)
    except leases.LeaseLost as lost:
        logger.warning("%s; its result is thrown away", lost)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # renamed where the run has succeeded


def _see_through(run: BacktestRun, worker: str, partial: Any, compute: Compute) -> None:
    try:
        with Watch(run, worker) as watch:
            refuse_stale(run.version)
            result = compute(
                manifest_of_run(run),
                settings.HISTORY_ROOT,
                partial,
                start=as_yyyymmdd(run.first) if run.first else None,
                end=as_yyyymmdd(run.last) if run.last else None,
                progress=watch.progress,
                cancelled=watch.cancelled,
            )
    except BacktestCancelled:
        if watch.lost is not None:
            raise watch.lost from None
        leases.backtest_cancelled(run=run, worker=worker)
    except Exception as error:
        logger.exception("%s has failed", run)
        leases.backtest_fail(run=run, worker=worker, error=f"{type(error).__name__}: {error}")
    else:
        leases.backtest_finish(run=run, worker=worker, result=result, partial=partial)


def manifest_of_run(run: BacktestRun) -> Manifest:
    """The version's, with what the run changes of its parameters."""
    # Its deployment's name is the same for all runs, so that equal runs are equal.
    manifest = manifest_of(run.version, deployment="backtest", stage="sim", capital=run.version.capital)
    if not run.parameters:
        return manifest
    parameters = run.version.parameters | run.parameters
    return msgspec.structs.replace(manifest, parameters=parameters, content_hash=run.content_hash)


class Watch:
    """Renews the lease, writes the progress and hears of a cancel, while the computation runs.

    ``lost`` is why the run is no longer ours, or None.
    """

    def __init__(self, run: BacktestRun, worker: str) -> None:
        self.lost: leases.LeaseLost | None = None
        self._run, self._worker = run, worker
        self._shown = (0.0, "Starting")
        self._stop, self._cancel = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def progress(self, fraction: float, note: str) -> None:
        self._shown = (fraction, note)

    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def _renew(self) -> None:
        written, renewed = self._shown, time.monotonic()
        try:
            while not self._stop.wait(TICK):
                shown = self._shown
                if shown == written and time.monotonic() - renewed < RENEW:
                    continue
                if self._beat(shown, renewed):
                    written, renewed = shown, time.monotonic()
        except leases.LeaseLost as lost:
            self.lost = lost
            self._cancel.set()
        finally:
            connection.close()  # this thread's own

    def _beat(self, shown: tuple[float, str], renewed: float) -> bool:
        """One heartbeat. A database that is away is tried again as long as the lease holds."""
        try:
            go_on = leases.backtest_heartbeat(run=self._run, worker=self._worker, progress=shown[0], note=shown[1])
        except OperationalError as error:
            connection.close()
            if time.monotonic() - renewed > leases.LEASE.total_seconds():
                raise leases.LeaseLost(f"{self._run}: no database for longer than the lease") from error
            logger.warning("%s: the lease was not renewed: %s", self._run, error)
            return False
        if not go_on:
            self._cancel.set()
        return True
