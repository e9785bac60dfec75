"""``make drill``: kill -9 of core, agent, exchange link, web and PostgreSQL, again and again, while orders are working.

The whole platform runs on free ports with a busy strategy, market data packets lost and doubled on each line, and a
relay between engine and exchange that can be killed too. After each kill the victim has to come back and trading to go
on; then the strategy is paused, and once both sides are at rest the exchange's own record is compared with PostgreSQL:
orders, executions, positions. Limits are judged by the record alone, the audit chain by walking it.

The order of kills and the moments come from a seed. A var folder that is given is gone on with: what it has counted
stays in its ``drill.json``.
"""

import json
import os
import random
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from control.local.failures import Refusal, failed
from control.local.layout import ACCOUNT, ENGINE_SETTINGS, EXCHANGE_SETTINGS, Layout
from control.local.processes import marked, say, write_atomically
from control.local.smoke import use_django
from control.local.stack import Stack, Stopped, answers, stand_apart, stop_on_signals
from control.local.venue_limits import Account, Envelope

TARGETS = ("core", "agent", "link", "web", "postgres")
FAULTS = {"drop": 0.01, "double": 0.01}  # of the packets of each line
DAY_SECONDS, MESSAGES_PER_SECOND = "6.0", 1_000.0
SNAPSHOT_RECORDS = 100_000  # so that a core also comes back from a snapshot
ENVELOPE = {
    "max_order_qty": 3_000,
    "max_order_notional": 60_000 * 10_000,
    "max_position_qty": 3_000,
    "max_gross_notional": 100_000_000 * 10_000,  # it bounds the drawdown too, and so much trading costs its fees
}
SYMBOLS = ["AAPL", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO", "PEP"]  # few: the backtest is not the drill
PARAMETERS = {
    "symbols": SYMBOLS,
    "max_pairs": 45,
    "p_value": 0.5,
    "lookback": 20,
    "sample_seconds": 0.0,
    "entry": 0.8,
    "exit": 0.1,
    "stop": 50.0,
    "leg_notional": 20_000,
}
RECOVER_SECONDS, WORK_SECONDS, SETTLE_SECONDS, SQL_SECONDS = 120.0, 120.0, 60.0, 60.0
COMPARED = ("type", "account", "user_ref_num", "symbol", "side", "qty", "price", "match_number", "trade_date")
LONGEST_WAIT = 1.0  # seconds that orders have been working before the next kill
FILLS = "select count(*), count(distinct (venue, trade_date, execution_id, side, revision)) from trading_fill"
REFUSALS = "select count(*) from trading_reject"


@dataclass
class Tally:
    """What a drill has found so far; kept in ``drill.json``."""

    seed: int
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TARGETS, 0))
    working: list[int] = field(default_factory=list)  # orders at the moment of each kill, by the exchange's record
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: {target: [] for target in TARGETS})
    lost: int = 0  # of each kind the most that any comparison has found
    doubled: int = 0
    order_differences: int = 0
    position_breaks: int = 0
    audit_breaks: int = 0
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.kills.values())


def drill(kills: int, seed: int, minutes: float, var: Path | None) -> dict[str, Any]:
    """``kills`` in all, as many of each target; stops after ``minutes``. Returns the JSON line."""
    stand_apart(DAY_SECONDS)
    folder = (var or Path(tempfile.mkdtemp(prefix="heliograph-drill-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # as root, PostgreSQL runs as an ordinary account and has to get through
    layout, ports = Layout(folder), folder / "run" / "relay-ports.json"
    exchange = {"faults": FAULTS, "messages_per_second": MESSAGES_PER_SECOND}
    engine = {"venues": [{"ports_file": str(ports)}], "snapshot_records": SNAPSHOT_RECORDS}
    os.environ[EXCHANGE_SETTINGS], os.environ[ENGINE_SETTINGS] = json.dumps(exchange), json.dumps(engine)
    venue_ports = str(folder / "exchange" / "ports.json")
    relay = ["python", "-m", "control.local.relay", "--venue", venue_ports, "--announce", str(ports)]
    stack = Stack(layout, echo=False, between={"relay": relay})
    with stop_on_signals(stack):
        try:
            with stack:
                result = Drill(stack, kills, minutes, _tally(folder, seed)).run()
        except Stopped:
            return {"ok": False, "bench": "drill", "stopped": True, "var": str(folder)}
        except Refusal:
            say("drill", f"the logs are in {layout.log_folder}")
            raise
    left = marked(folder)
    result["leftover_processes"] = len(left)
    result["ok"] = result["ok"] and not left
    if result["ok"] and var is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        say("drill", f"everything it wrote is in {folder}")
    return result


def _tally(folder: Path, seed: int) -> Tally:
    kept = folder / "drill.json"
    return Tally(**json.loads(kept.read_text())) if kept.exists() else Tally(seed)


class Drill:
    """One run on a stack that is not started yet."""

    def __init__(self, stack: Stack, kills: int, minutes: float, tally: Tally) -> None:
        self.stack, self.kills, self.tally = stack, kills, tally
        self.account = Account(
            ACCOUNT, Envelope(*(ENVELOPE[name] for name in ("max_order_qty", "max_order_notional", "max_position_qty")))
        )
        self._began, self._ends = time.monotonic(), time.monotonic() + 60 * minutes
        self._read = 0  # bytes of the record
        self._entries: list[dict[str, Any]] = []  # of the account, as far as they are compared
        self._random = random.Random(f"{tally.seed}:{tally.count}")

    def run(self) -> dict[str, Any]:
        self.stack.start()
        use_django(self.stack)
        self._deploy()
        for target in self._order():
            if time.monotonic() > self._ends:
                say("drill", f"time is over after {self.tally.count} kills")
                break
            self._one(target)
        return self._result()

    def _order(self) -> list[str]:
        """Victims in their order: each once a round, the rounds shuffled by the seed."""
        rounds = range(-(-self.kills // len(TARGETS)))
        order = [
            target
            for number in rounds
            for target in random.Random(f"{self.tally.seed}:{number}").sample(TARGETS, len(TARGETS))
        ]
        return order[self.tally.count : self.kills]

    def _deploy(self) -> None:
        from control.accounts.models import User
        from control.local.demo import Demo, Walker
        from control.local.people import PEOPLE

        users = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
        walker = Walker("PAIRS-DRILL", "intraday_pairs", PARAMETERS, ENVELOPE)
        self._trader = users["tess"]
        deployment = Demo(users, self.stack.url, walker).walk()
        if deployment is None:
            raise failed("drill", "nothing is deployed")
        self._deployment = deployment
        self._resume()

    # ---- one kill ------------------------------------------------------------------------------------

    def _one(self, target: str) -> None:
        self._until(lambda: bool(self.account.working), WORK_SECONDS, "an order that works")
        self._tend(self._random.uniform(0.0, LONGEST_WAIT))
        victim = self._victim(target)
        self._until(lambda: bool(self.account.working), WORK_SECONDS, "an order that works")
        working, killed = len(self.account.working), time.monotonic()
        os.kill(victim, signal.SIGKILL)
        self._until(lambda: self._is_back(target, victim), RECOVER_SECONDS, f"{target} to come back")
        before = self.account.orders
        self._until(lambda: self.account.orders > before, RECOVER_SECONDS, f"trading to go on after {target}")
        self.tally.kills[target] += 1
        self.tally.working.append(working)
        self.tally.recovery_s[target].append(round(time.monotonic() - killed, 2))
        self._compare()
        self.tally.seconds += time.monotonic() - self._began
        self._began = time.monotonic()
        write_atomically(self.stack.layout.var / "drill.json", json.dumps(vars(self.tally)))
        say(
            "drill",
            f"{self.tally.count} of {self.kills}: {target}, {working} orders working, "
            f"back after {self.tally.recovery_s[target][-1]:.1f} s; {self.account.executions} executions",
        )
        self._resume()

    def _victim(self, target: str) -> int:
        """Its process, waited for where it is being started."""
        self._until(lambda: bool(self._process(target)), RECOVER_SECONDS, f"a process of {target}")
        return self._process(target)

    def _process(self, target: str) -> int:
        """The process id, 0 while there is none."""
        if target == "core":
            return self._core()
        if target == "postgres":
            assert self.stack.postgres is not None
            child = self.stack.postgres.child
        else:
            child = self.stack.child({"agent": "engine", "link": "relay"}.get(target, target))
        return child.pid if child is not None and child.alive else 0

    def _core(self) -> int:
        """The agent's child that is a core, as the operating system sees it."""
        try:
            children = psutil.Process(self.stack.child("engine").pid).children()
            return next((one.pid for one in children if "engine.live.core" in one.cmdline()), 0)
        except psutil.NoSuchProcess:
            return 0  # the agent or the core has ended this moment

    def _is_back(self, target: str, victim: int) -> bool:
        """Whether the victim has a successor that answers, where it is one that can be asked."""
        if self._process(target) in (0, victim):
            return False
        return {"postgres": self._sql_answers, "web": lambda: answers(self.stack.url)}.get(target, lambda: True)()

    # ---- what is so ------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """At rest: pauses, waits until both sides agree, and takes what differs where they do not in time."""
        from control.local.reconcile import compare_entries

        self._persist(self._pause)
        self._until(lambda: self._persist(self._is_paused), SETTLE_SECONDS, "the strategy to pause")
        give_up = time.monotonic() + SETTLE_SECONDS
        while not (found := self._persist(lambda: compare_entries(self._entries))).equal:
            if time.monotonic() > give_up:
                break
            self._tend(0.5)
        for difference in found.differences:
            say("drill", difference)
        tally = self.tally
        tally.lost, tally.doubled = max(tally.lost, found.lost), max(tally.doubled, found.extra)
        tally.order_differences = max(tally.order_differences, found.order_differences)
        tally.position_breaks = max(tally.position_breaks, found.position_breaks)
        tally.audit_breaks += not self._persist(_audit_holds)

    def _pause(self) -> None:
        from control.deployments.services import deployment_pause

        self._deployment.refresh_from_db()
        if self._deployment.desired == "running":
            deployment_pause(actor=self._trader, deployment=self._deployment)

    def _resume(self) -> None:
        from control.deployments.services import deployment_resume

        def resume() -> None:
            self._deployment.refresh_from_db()
            if self._deployment.desired == "paused":
                deployment_resume(actor=self._trader, deployment=self._deployment)

        self._persist(resume)

    def _is_paused(self) -> bool:
        self._deployment.refresh_from_db()
        if self._deployment.state in ("refused", "faulted"):
            raise failed("drill", f"the deployment is {self._deployment.state}: {self._deployment.reason}")
        return self._deployment.state == "paused"

    def _sql_answers(self) -> bool:
        try:
            with psycopg.connect(self.stack.environ["DATABASE_URL"], connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _persist(self, do: Callable[[], Any]) -> Any:
        """``do`` with the database, again as long as a connection of before it was killed fails."""
        from django.db import OperationalError, connections

        give_up = time.monotonic() + SQL_SECONDS
        while True:
            try:
                return do()
            except OperationalError:
                connections.close_all()
                if time.monotonic() > give_up:
                    raise
                self._tend(0.2)

    # ---- while it runs ---------------------------------------------------------------------------------

    def _until(self, check: Callable[[], bool], seconds: float, what: str) -> None:
        give_up = time.monotonic() + seconds
        self._follow()
        while not check():
            if time.monotonic() > give_up:
                raise failed("drill", f"waited {seconds:.0f} s for {what}, after {self.tally.count} kills")
            self._tend(0.05)

    def _tend(self, seconds: float) -> None:
        """Lets the supervisor work and time pass."""
        give_up = time.monotonic() + seconds
        while True:
            self.stack.tend()
            self._follow()
            left = give_up - time.monotonic()
            if left <= 0:
                return
            self.stack.pause(min(left, 0.1))

    def _follow(self) -> None:
        """Takes what the exchange has written since."""
        with self.stack.layout.exchange_record.open("rb") as record:
            record.seek(self._read)
            for line in record:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                entry = json.loads(line)
                self.account.take(entry)
                if entry["account"] == ACCOUNT:
                    self._entries.append({name: entry[name] for name in COMPARED})

    def _result(self) -> dict[str, Any]:
        tally = self.tally
        with psycopg.connect(self.stack.environ["DATABASE_URL"]) as connection:
            rows, distinct = connection.execute(FILLS).fetchone() or (0, 0)
            (refusals,) = connection.execute(REFUSALS).fetchone() or (0,)
        for breach in self.account.shown:
            say("drill", breach)
        result = {
            "ok": False,
            "bench": "drill",
            "seed": tally.seed,
            "kills": tally.count,
            "kills_by_target": tally.kills,
            "least_working_at_a_kill": min(tally.working, default=0),
            "orders": self.account.orders,
            "fills_at_exchange": self.account.executions,
            "fills_in_database": rows,
            "lost": tally.lost,
            "doubled": max(tally.doubled, rows - distinct),
            "order_differences": tally.order_differences,
            "position_breaks": tally.position_breaks,
            "limit_breaches": self.account.breaches,
            "limit_refusals": refusals,
            "greatest_worst_case": self.account.worst,
            "position_limit": self.account.limits.max_position_qty,
            "audit_breaks": tally.audit_breaks,
            "recovery_s": {
                target: {"median": statistics.median(took), "max": max(took)}
                for target, took in tally.recovery_s.items()
                if took
            },
            "seconds": round(tally.seconds),
        }
        wrong = ("lost", "doubled", "order_differences", "position_breaks", "limit_breaches", "audit_breaks")
        result["ok"] = tally.count >= self.kills and not any(result[name] for name in wrong)
        result["ok"] = result["ok"] and rows == self.account.executions > 0 and min(tally.working) > 0
        return result


def _audit_holds() -> bool:
    from control.audit.selectors import verify_table

    verdict, _ = verify_table()
    return verdict.broken is None
