"""``make smoke``: the whole platform on free ports in a temporary var folder, checked from outside.

It passes when enough fills and round trips are committed in PostgreSQL, a real browser saw fills arrive on the live
page, the exchange's own record equals the ledger order by order, and nothing is left running.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control.local.failures import Refusal, failed
from control.local.layout import ACCOUNT, Layout
from control.local.processes import Child, marked, say, wait_until
from control.local.stack import Stack, Stopped, stand_apart, stop_on_signals

FILLS, ROUND_TRIPS = 50, 2
TRADE_SECONDS = 420.0  # until there are that many
SETTLE_SECONDS = 30.0  # until ledger and exchange agree once the strategy is paused
DAY_SECONDS = "1.0"  # twice as fast as the demo: the same path, sooner


def smoke_test(screenshots: Path, keep: bool) -> dict[str, Any]:
    """Run it; returns the JSON line. With ``keep`` the platform goes on running in a process of its own."""
    stand_apart(DAY_SECONDS)
    var = Path(tempfile.mkdtemp(prefix="heliograph-smoke-"))
    var.chmod(0o711)  # as root, PostgreSQL runs as an ordinary account and has to get through
    smoke = Smoke(Layout(var), screenshots)
    return smoke.run_and_keep() if keep else smoke.run()


@dataclass
class Smoke:
    """One run. ``began`` is on the monotonic clock."""

    layout: Layout
    screenshots: Path
    began: float = field(default_factory=time.monotonic)

    def run(self) -> dict[str, Any]:
        """Everything, then stop and count what is left."""
        with stop_on_signals(stack := Stack(self.layout, echo=False)):
            try:
                with stack:
                    result = self._checked(stack)
            except Stopped:
                shutil.rmtree(self.layout.var, ignore_errors=True)
                raise
            except Refusal:
                say("smoke", f"the logs are in {self.layout.log_folder}")
                raise
        left = marked(self.layout.var)
        result["leftover_processes"] = len(left)
        result["ok"] = result["ok"] and not left
        if result["ok"]:
            shutil.rmtree(self.layout.var, ignore_errors=True)
        else:
            say("smoke", f"failed; everything it wrote is in {self.layout.var}")
        return result

    def run_and_keep(self) -> dict[str, Any]:
        """A child of its own session runs the platform on; this process hands its answer over and goes."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._keep_running(writer)
        os.close(writer)
        with os.fdopen(reader) as answer:
            result = json.loads(answer.read() or "{}")
        if not result:
            raise failed("smoke", f"the platform did not come up; its logs are in {self.layout.log_folder}")
        return result

    def _keep_running(self, writer: int) -> None:
        """In the child: check, answer, let go of the terminal, supervise until SIGTERM."""
        os.setsid()
        code = 1
        try:
            with stop_on_signals(stack := Stack(self.layout, echo=False)), stack:
                result = self._checked(stack, resume=True)
                result["kept"] = {"pid": os.getpid(), "url": stack.url, "var": str(self.layout.var)}
                say("smoke", f"left running at {stack.url}; `kill {os.getpid()}` stops it")
                with os.fdopen(writer, "w") as answer:
                    answer.write(json.dumps(result))
                _let_go_of_the_terminal(self.layout.log_folder / "supervisor.log")
                stack.supervise()
            code = 0
        except Refusal as refusal:
            say("smoke", str(refusal))
        finally:
            os._exit(code)

    def _checked(self, stack: Stack, resume: bool = False) -> dict[str, Any]:
        stack.start()
        cold_start = self._elapsed()
        say("smoke", f"up after {cold_start:.0f} s at {stack.url}; walking the demo")
        use_django(stack)
        demo = stack.begin("demo", "--url", stack.url)
        first_fill = self._until_traded(stack, demo)
        browser = self._browse(stack)
        comparison = self._reconciled(stack, resume)
        result = {
            "ok": False,
            **_figures(),
            "cold_start_s": round(cold_start, 1),
            "first_fill_s": round(first_fill, 1),
            "screenshots": browser["screenshots"],
            "fills_seen_in_browser": browser["fills_arrived"],
            "page_errors": browser["errors"],
            "exchange_equals_ledger": comparison.equal,
            "orders_compared": comparison.orders,
            "executions_compared": comparison.executions,
        }
        for difference in comparison.differences:
            say("smoke", difference)
        result["ok"] = bool(
            result["fills"] >= FILLS
            and result["round_trips"] >= ROUND_TRIPS
            and browser["fills_arrived"] > 0
            and not browser["errors"]
            and comparison.equal
            and comparison.executions >= FILLS
        )
        return result

    def _until_traded(self, stack: Stack, demo: Child) -> float:
        """Wait for enough fills and round trips; returns when the first fill was committed."""
        from control.trading.models import Fill

        first_fill = 0.0
        end = time.monotonic() + TRADE_SECONDS
        said = 0.0
        while True:
            figures = _figures()
            if not first_fill and figures["fills"]:
                first_fill = self._elapsed()
                newest = Fill.objects.earliest("received_at")
                say("smoke", f"first fill after {first_fill:.0f} s: {newest.side} {newest.qty} {newest.symbol}")
            if figures["fills"] >= FILLS and figures["round_trips"] >= ROUND_TRIPS:
                say("smoke", f"{figures['fills']} fills and {figures['round_trips']} round trips are committed")
                return first_fill
            if demo.returncode:
                raise failed("demo", demo.last_lines())
            if time.monotonic() > end:
                raise failed("trading", f"{figures['fills']} fills, {figures['round_trips']} round trips")
            if time.monotonic() - said > 10:
                said = time.monotonic()
                say("smoke", f"{self._elapsed():.0f} s: {figures['fills']} fills, {figures['round_trips']} round trips")
            self._tend(stack, 0.5)

    def _browse(self, stack: Stack) -> dict[str, Any]:
        """A browser in a process of its own: its event loop and Django's blocking calls do not mix."""
        say("smoke", "looking at the pages in a headless Chromium")
        deployment = _deployment()
        shutil.rmtree(self.screenshots, ignore_errors=True)
        arguments = ("--url", stack.url, "--deployment", str(deployment.pk), "--screenshots", str(self.screenshots))
        browser = stack.begin("browse", *arguments)
        while browser.alive:
            self._tend(stack, 0.2)
        stack.end(browser)
        return json.loads(browser.last_lines(1))

    def _reconciled(self, stack: Stack, resume: bool) -> Any:
        """Pause the strategy, let both sides come to rest, compare."""
        from control.accounts.models import User
        from control.deployments.services import deployment_pause, deployment_resume
        from control.local.reconcile import compare

        tess, deployment = User.objects.get(username="tess"), _deployment()
        deployment_pause(actor=tess, deployment=deployment)
        record = self.layout.exchange_record
        wait_until(lambda: _is_paused(deployment), SETTLE_SECONDS)
        wait_until(lambda: compare(record, ACCOUNT).equal, SETTLE_SECONDS, step=1.0)
        comparison = compare(record, ACCOUNT)
        if resume:
            deployment_resume(actor=tess, deployment=deployment)
        return comparison

    def _tend(self, stack: Stack, seconds: float) -> None:
        stack.tend()
        stack.pause(seconds)

    def _elapsed(self) -> float:
        return time.monotonic() - self.began


def use_django(stack: Stack) -> None:
    """Read the same database as the run's own processes."""
    os.environ.update({name: stack.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "HELIOGRAPH_VAR")})
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control.settings")
    import django

    django.setup()


def _deployment() -> Any:
    from control.deployments.models import Deployment

    return Deployment.objects.select_related("version__strategy", "node").latest("created_at")


def _is_paused(deployment: Any) -> bool:
    deployment.refresh_from_db()
    return deployment.state == "paused"


def _figures() -> dict[str, Any]:
    from control.backtests.models import BacktestRun
    from control.deployments.models import Deployment
    from control.trading.models import Fill
    from control.trading.round_trips import round_trips

    fills = Fill.objects.count()
    trips = sum(len(round_trips(deployment)) for deployment in Deployment.objects.all()) if fills else 0
    run = BacktestRun.objects.filter(state="succeeded").first()
    backtest = {name: run.statistics[name] for name in ("trades", "sharpe")} if run else None
    return {"fills": fills, "round_trips": trips, "backtest": backtest}


def _let_go_of_the_terminal(log: Path) -> None:
    """Whoever started this waits for the end of these streams."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
