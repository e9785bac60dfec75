"""Where a local run keeps what: paths, the configurations of exchange and engine, the environment of children."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from control.local.failures import Refusal
from control.local.ports import LOOPBACK
from control.local.processes import MARK, secret, write_atomically

ROOT = Path(__file__).resolve().parents[3]
NODE = "sim-1"
DATASET = "sp500_20"
ACCOUNT = "HELIO1"  # the firm's account at the exchange; six characters, as SoupBinTCP has it
FIRST_DAY, LAST_DAY = "2013-01-02", "2022-12-28"  # the last ten years of the panel
DAY_SECONDS = 2.0
SHORTEST_DAY, LONGEST_DAY = 0.1, 86_400.0
# Settings of exchange and engine over those of ``write_configs``, as JSON: {"faults": {"drop": 0.01}}.
EXCHANGE_SETTINGS, ENGINE_SETTINGS = "HELIOGRAPH_EXCHANGE", "HELIOGRAPH_ENGINE"
LIMITS_VALID_DAYS = 120  # of the session clock, on which a day takes seconds: bundles are renewed each minute or two


class Venue(NamedTuple):
    """Fees in 1/10,000 of the currency a share, negative ones are rebates: as US exchanges of each kind have them."""

    name: str
    port: str  # where the engine receives its market data
    adding: int
    taking: int
    latency_us: int
    dark: bool = False

    @property
    def fees(self) -> dict[str, int]:
        """As the exchange has them."""
        added = dict.fromkeys(("added", "added_hidden", "added_midpoint"), self.adding)
        return added | dict.fromkeys(("removed", "removed_midpoint"), self.taking)


VENUES = (
    Venue("SIM", "PORT_ENGINE_ITCH", -20, 30, 60),
    Venue("EAST", "PORT_ENGINE_ITCH_EAST", -15, 25, 180),
    Venue("INVERT", "PORT_ENGINE_ITCH_INVERT", 18, -12, 350),  # pays who takes
    Venue("DARK", "PORT_ENGINE_ITCH_DARK", 0, 10, 300, dark=True),
)


@dataclass(frozen=True)
class Layout:
    """The files of one run under ``var`` (absolute)."""

    var: Path

    @property
    def run_folder(self) -> Path:
        return self.var / "run"

    @property
    def log_folder(self) -> Path:
        return self.var / "log"

    @property
    def run_file(self) -> Path:
        return self.var / "run.json"

    @property
    def credentials(self) -> Path:
        return self.var / "credentials"

    @property
    def token_file(self) -> Path:
        return self.var / "secrets" / f"node-{NODE}.token"

    @property
    def account_file(self) -> Path:
        return self.var / "secrets" / "exchange-account.json"

    @property
    def exchange_record(self) -> Path:
        """Of all venues together."""
        return self.var / "exchange" / "all.jsonl"

    def venue_folder(self, name: str) -> Path:
        """Where the exchange keeps what is a venue's own."""
        return self.var / ("exchange" if name == VENUES[0].name else f"exchange-{name}")

    @property
    def journal(self) -> Path:
        return self.var / "engine" / "journal"

    @property
    def history(self) -> Path:
        return self.var / "history"

    @property
    def exchange_config(self) -> Path:
        return self.var / "config" / "exchange.json"

    @property
    def engine_config(self) -> Path:
        return self.var / "config" / "engine.json"

    def write_configs(self, ports: Mapping[str, int], symbols: list[str], day_seconds: float) -> None:
        """The two configuration files, from this run's ports. The account's password is made once and kept."""
        account = {"username": ACCOUNT, "password": secret(self.var / "secrets" / "exchange-account")[:10]}
        write_atomically(self.account_file, json.dumps(account))
        line_a, line_b = (f"{LOOPBACK}:{ports[name]}" for name in ("PORT_ENGINE_ITCH", "PORT_ENGINE_ITCH_B"))
        exchange: dict[str, Any] = {
            "var": str(self.var),
            "history": str(self.history),
            "dataset": DATASET,
            "start": FIRST_DAY,
            "end": LAST_DAY,
            "day_seconds": day_seconds,
            "seed": 7,
            "port_itch": ports["PORT_ITCH"],
            "port_ouch": ports["PORT_OUCH"],
            "receivers": [line_a],
            "receivers_b": [line_b],
            "accounts_file": str(self.account_file),
            "name": VENUES[0].name,
            "fees": VENUES[0].fees,
            "others": [
                {
                    "name": venue.name,
                    "dark": venue.dark,
                    "receivers": [f"{LOOPBACK}:{ports[venue.port]}"],
                    "fees": venue.fees,
                }
                for venue in VENUES[1:]
            ],
        }
        engine: dict[str, Any] = {
            "node": NODE,
            "var": str(self.var / "engine"),
            "link": f"ws://{LOOPBACK}:{ports['PORT_LINK']}/engine/link/",
            "token_file": str(self.token_file),
            "venues": [
                {
                    "name": venue.name,
                    "itch_bind": f"{LOOPBACK}:{ports[venue.port]}",
                    **({"itch_bind_b": line_b} if venue is VENUES[0] else {}),
                    "ports_file": str(self.venue_folder(venue.name) / "ports.json"),
                    "clock_file": str(self.venue_folder(venue.name) / "clock.json"),
                    "account_file": str(self.account_file),
                    "adding_fee": venue.adding,
                    "taking_fee": venue.taking,
                    "dark": venue.dark,
                    "latency_ns": venue.latency_us * 1_000,
                }
                for venue in VENUES
            ],
            "symbols": symbols,
            "history": str(self.history),
            "mode": "polite",
            "limits_link": True,
            "limits_key": str(self.var / "secrets" / "limits.pub"),
        }
        for path, content, variable in (
            (self.exchange_config, exchange, EXCHANGE_SETTINGS),
            (self.engine_config, engine, ENGINE_SETTINGS),
        ):
            write_atomically(path, json.dumps(with_settings(content, variable, os.environ), indent=2))

    def known_symbols(self) -> list[str]:
        """What the last run traded, where its configuration and its history are still there; else nothing."""
        if not self.engine_config.exists() or not list(self.history.glob(f"*/{DATASET}/manifest.json")):
            return []
        return list(json.loads(self.engine_config.read_text())["symbols"])

    def child_environ(self, **more: str) -> dict[str, str]:
        """The environment of every process of the run."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "control.settings",
            "HELIOGRAPH_VAR": str(self.var),
            "LIMITS_VALID_DAYS": str(LIMITS_VALID_DAYS),
            # Threads of small matrices cost more than they save; fewer malloc arenas keep many processes small.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
            MARK: str(self.var),
            # Celery says so on every start of a root; who runs this as root has chosen to.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
            **more,
        }


def day_seconds(environ: Mapping[str, str]) -> float:
    """Wall-clock seconds of one simulated trading day."""
    text = environ.get("HELIOGRAPH_DAY_SECONDS") or str(DAY_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST_DAY <= seconds <= LONGEST_DAY:
        raise Refusal("bad_day", "HELIOGRAPH_DAY_SECONDS", text, f"{SHORTEST_DAY:g} to {LONGEST_DAY:,.0f} seconds")
    return seconds


def with_settings(content: dict[str, Any], variable: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """``content`` with what the environment says over it, field by field. Raises ``Refusal``."""
    text = environ.get(variable) or "{}"
    try:
        over = json.loads(text)
    except ValueError:
        over = None
    if not isinstance(over, dict):
        raise Refusal("bad_settings", variable, text, "a JSON object of settings")
    return _over(content, over)


def _over(value: Any, over: Any) -> Any:
    """Objects by their fields, lists of objects one by one, anything else as a whole."""
    if isinstance(value, dict) and isinstance(over, dict):
        return value | {name: _over(value[name], each) if name in value else each for name, each in over.items()}
    if isinstance(value, list) and isinstance(over, list) and all(isinstance(each, dict) for each in [*value, *over]):
        return [_over(*both) for both in zip(value, over, strict=False)] + value[len(over) :] + over[len(value) :]
    return over


def layout_from_environ() -> Layout:
    """The layout of ``HELIOGRAPH_VAR``, which is relative to the repository."""
    return Layout((ROOT / (os.environ.get("HELIOGRAPH_VAR") or "var")).absolute())
