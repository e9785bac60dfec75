"""The demo: one strategy walks the whole managed path, by the people whose step it is.

quinn writes and submits it, a Celery worker backtests it, rhea approves it, tess deploys it to the node.
Every step is the service that the web page calls, and is skipped where an earlier run has done it. When the
code has changed since the newest version was made, its content hash no longer holds: a new version walks the path.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from control.accounts.models import User
from control.approvals.services import version_approve
from control.backtests.models import BacktestRun
from control.backtests.selectors import backtest_succeeded
from control.backtests.services import backtest_request
from control.deployments.models import Deployment, Node
from control.deployments.services import deployment_create, deployment_stop
from control.desks.models import Desk
from control.local.failures import failed
from control.local.layout import DATASET, NODE
from control.local.people import DESK
from control.local.story import tell
from control.strategies.content import present_hash
from control.strategies.models import Strategy, StrategyVersion, VersionState
from control.strategies.services import strategy_create, version_create, version_submit
from control.trading.models import Fill, Position

STRATEGY = "PAIRS-US"
CAPITAL = "1000000"
SIGNATURE = "Demo: "  # begins the note of each version that the demo has made
# Wide in shares, for adjusted prices of the early years are cents; what binds is money.
ENVELOPE = {
    "max_order_qty": 500_000,
    "max_order_notional": 250_000 * 10_000,
    "max_position_qty": 1_000_000,
    "max_gross_notional": 3_000_000 * 10_000,
}
WALKING = (VersionState.DRAFT, VersionState.SUBMITTED, VersionState.APPROVED)
BACKTEST_SECONDS, STOP_SECONDS, FILL_SECONDS = 600.0, 60.0, 300.0


@dataclass(frozen=True)
class Walker:
    """What walks the path."""

    name: str
    kernel: str
    parameters: Mapping[str, Any]
    envelope: Mapping[str, int]


PAIRS_US = Walker(STRATEGY, "pairs", {}, ENVELOPE)


@dataclass(frozen=True)
class Demo:
    """Who takes part, and where to look afterwards."""

    users: dict[str, User]
    url: str
    walker: Walker = PAIRS_US

    def walk(self) -> Deployment | None:
        """Walk the path; returns what trades now, or None where somebody has stopped it, or deployed something else
        that this engine refuses."""
        strategy = self._strategy()
        live = Deployment.objects.filter(strategy=strategy, node__name=NODE, stopped_at__isnull=True).first()
        if live is not None and not live.version.note.startswith(SIGNATURE):
            return self._left_alone(live)
        version = self._version(strategy)
        if version.state == VersionState.DRAFT:
            version = version_submit(actor=self.users["quinn"], version=version)
            tell(f"quinn submitted {version}, content hash {version.content_hash[:16]}")
        self._backtest(version)
        if version.state == VersionState.SUBMITTED:
            version_approve(
                actor=self.users["rhea"],
                version=version,
                comment="Backtest and envelope reviewed.",
                content_hash=version.content_hash,
            )
            version = StrategyVersion.objects.select_related("strategy__desk").get(pk=version.pk)
            tell(f"rhea approved {version}: she neither wrote nor submitted it")
        return self._deployed(version)

    def _left_alone(self, live: Deployment) -> Deployment | None:
        """What a person has made and deployed is theirs: the demo neither stops it nor puts anything in its place."""
        if present_hash(live.version) == live.version.content_hash:
            tell(f"{live} is deployed and to be {live.desired}; it goes on with its positions")
            return live
        tell(f"{live} was approved for another build of the engine, which refuses it: make a new version of it")
        return None

    def _strategy(self) -> Strategy:
        quinn = self.users["quinn"]
        name, kernel = self.walker.name, self.walker.kernel
        strategy = Strategy.objects.filter(desk__name=DESK, name=name).first()
        if strategy is None:
            strategy = strategy_create(actor=quinn, desk=Desk.objects.get(name=DESK), name=name, kernel=kernel)
            tell(f"quinn created the strategy {name} (kernel {kernel}) on the desk {DESK}")
        return strategy

    def _version(self, strategy: Strategy) -> StrategyVersion:
        """The demo's newest version where this code can run it, or a new one. Others' drafts are not its to submit."""
        newest = strategy.versions.filter(note__startswith=SIGNATURE).order_by("-number").first()
        reason, parameters = _why_new(newest, self.walker.parameters)
        if newest is not None and not reason:
            tell(f"{newest} is {newest.state}; going on with it")
            return newest
        version = version_create(
            actor=self.users["quinn"],
            strategy=strategy,
            parameters=parameters,
            envelope=dict(self.walker.envelope),
            dataset=DATASET,
            capital=CAPITAL,
            note=SIGNATURE + reason,
        )
        tell(f"quinn created {version}: {reason}")
        return version

    def _backtest(self, version: StrategyVersion) -> None:
        if backtest_succeeded(version):
            return
        run = BacktestRun.objects.filter(version=version, state__in=("queued", "running")).first()
        run = run or backtest_request(actor=self.users["quinn"], version=version)
        tell(f"quinn requested a backtest of {version} on {version.dataset}; a Celery worker takes it")
        shown = ""

        def ended() -> bool:
            nonlocal shown
            run.refresh_from_db()
            line = f"    backtest {run.state:<9} {run.progress:4.0%}  {run.progress_note}"
            if line != shown:
                tell(line)
                shown = line
            return run.ended

        _wait(ended, BACKTEST_SECONDS, f"the backtest of {version}")
        if run.state != "succeeded":
            raise failed("backtest", f"{run.state}: {run.error}")
        figures = run.statistics
        tell(
            f"    backtest done: {figures['trades']} trades, Sharpe ratio {figures['sharpe']:.2f}, "
            f"largest drawdown {figures['max_drawdown']:.1%} (adjusted prices, survivors only)"
        )

    def _deployed(self, version: StrategyVersion) -> Deployment | None:
        node = Node.objects.get(name=NODE)
        live = Deployment.objects.filter(strategy=version.strategy, node=node, stopped_at__isnull=True).first()
        if live is not None and live.version_id == version.pk:
            tell(f"{live} is deployed and to be {live.desired}; it goes on with its positions")
            return live
        if live is not None:
            self._stop(live)
        elif Deployment.objects.filter(version=version, node=node).exists():
            tell(f"{version} was stopped; tess can deploy it again on its page")
            return None
        deployment = deployment_create(actor=self.users["tess"], version=version, node=node, capital=CAPITAL)
        tell(f"tess deployed {version} to the node {node}, stage SIM, with USD {int(CAPITAL):,}")
        return deployment

    def _stop(self, live: Deployment) -> None:
        """An engine refuses a version whose hash no longer holds; its deployment has to end first."""
        if live.desired != "stopped":
            deployment_stop(actor=self.users["tess"], deployment=live)
            open_positions = Position.objects.filter(deployment=live).exclude(qty=0).count()
            tell(
                f"tess stopped {live}: this engine is another build than the one that was approved; "
                f"its {open_positions} open positions stay as they are"
            )

        def ended() -> bool:
            live.refresh_from_db()
            return live.stopped_at is not None

        _wait(ended, STOP_SECONDS, f"the engine to end {live}")

    def watch(self, deployment: Deployment) -> None:
        """Wait for the first fill, say it, and say what to look at."""

        def trades() -> bool:
            deployment.refresh_from_db()
            if deployment.state in ("refused", "faulted"):
                raise failed("deployment", f"{deployment} is {deployment.state}: {deployment.reason}")
            return Fill.objects.filter(deployment=deployment).exists()

        if not Fill.objects.filter(deployment=deployment).exists():
            tell("waiting for the first fill: the strategy decides at a session's close and trades at the next open")
        _wait(trades, FILL_SECONDS, "the first fill")
        fill = Fill.objects.filter(deployment=deployment).order_by("ts").last()
        assert fill is not None
        tell(f"    newest fill: {fill.side} {fill.qty:,} {fill.symbol} at {fill.price:,.2f} ({fill.ts:%Y-%m-%d})")
        for line in self._signposts(deployment):
            tell(line)

    def _signposts(self, deployment: Deployment) -> list[str]:
        version = deployment.version
        return [
            "",
            f"Open {self.url} and sign in (names and passwords: var/credentials).",
            f"  as tess   {self.url}deployments/{deployment.pk}/  fills, P&L and z-scores live; pause, flatten, stop",
            f"  as quinn  {self.url}strategies/  write a version with other parameters, submit it, watch its backtest",
            f"  as rhea   {self.url}approvals/  approve or reject what another has submitted",
            f"  as ada    {self.url}audit/  who did what; {self.url}admin/ users and nodes",
            f"{version} trades S&P 500 components on a simulated exchange that follows their real daily closes of",
            "2013-2022, a trading day in two seconds. Prices are adjusted and hold survivors only.",
            "Ctrl-C stops everything; `make run` goes on from there.",
        ]


def _why_new(newest: StrategyVersion | None, first: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Why a new version is needed ("" where none is), and its parameters."""
    if newest is None:
        return "the first version" if first else "the first version, with the kernel's own defaults", dict(first)
    if present_hash(newest) != newest.content_hash:
        reason = f"the engine or its lock file has changed since {newest}, so what was approved is no longer what runs"
        return reason, newest.parameters
    if newest.state not in WALKING:
        return f"{newest} is {newest.state}", newest.parameters
    return "", {}


def _wait(check: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise failed("demo", f"waited {seconds:.0f} s for {what}; the logs are in var/log")
        time.sleep(0.25)
