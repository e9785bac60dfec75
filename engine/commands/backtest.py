"""Runs a strategy over daily history and prints its figures."""

import argparse
import json
import sys
import tempfile
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from engine.backtest import Costs, Fill, run_backtest
from engine.backtest.runner import warm
from engine.content import content_hash
from engine.errors import BadInput
from engine.history import open_history
from engine.history.ingest import read_bars
from engine.messages import PRICE_SCALE, DataContract, LimitEnvelope, Manifest
from engine.strategies.registry import strategy as registered

MOST_COMMISSION = 1_000_000  # all of the value, or 100 a share
UNBOUNDED = LimitEnvelope(*[1 << 40] * 4)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strategy", required=True)
    parser.add_argument("--params", type=Path, help="JSON object of parameters; the strategy's defaults without it")
    parser.add_argument("--data", required=True, help="csv:PATH or history:ROOT:DATASET")
    parser.add_argument("--out", type=Path, help="folder of the result files; a temporary one without it")
    parser.add_argument("--capital", type=int, default=1_000_000, help="in whole currency units")
    parser.add_argument(
        "--commission", help="0.0005 of the value, 5bps or 0.003/share; half the spread is then 0 unless given"
    )
    parser.add_argument("--half-spread-bps", type=float, help="on every execution; 2.5 without --commission")
    parser.add_argument("--fill", choices=list(Fill), default=Fill.NEXT_OPEN, help="of what a close decided")
    parser.add_argument(
        "--reaction-ms",
        type=float,
        default=1.0,
        help="what a Python strategy takes from what it hears to what it wants",
    )
    parser.add_argument("--start", type=int, help="yyyymmdd")
    parser.add_argument("--end", type=int, help="yyyymmdd")
    parser.add_argument("--cache", type=Path, help="folder of remembered formations")
    parser.add_argument("--json", action="store_true", help="no progress on stderr")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    out = arguments.out or Path(tempfile.mkdtemp(prefix="heliograph-backtest-"))
    root, dataset = _data(arguments.data, out)
    data = DataContract(dataset, open_history(root).describe(dataset).data_hash)
    parameters = _parameters(arguments.strategy, arguments.params)
    manifest = Manifest(
        deployment="",
        version="",
        strategy=arguments.strategy,
        content_hash=content_hash(arguments.strategy, parameters, UNBOUNDED, data),
        parameters=parameters,
        envelope=UNBOUNDED,
        data=data,
        stage="sim",
        capital=arguments.capital * PRICE_SCALE,
    )
    costs = costs_of(arguments.commission, arguments.half_spread_bps)
    load_s = _load(arguments.strategy)
    phases = _Phases(quiet=arguments.json)
    result = run_backtest(
        manifest,
        root,
        out,
        costs=costs,
        fill=Fill(arguments.fill),
        reaction_ns=round(arguments.reaction_ms * 1_000_000),
        start=arguments.start,
        end=arguments.end,
        cache=arguments.cache,
        progress=phases,
    )
    statistics = result.statistics
    return {
        "manifest_hash": result.manifest_hash,
        "result_sha256": result.result_sha256,
        "load_s": load_s,
        "prepare_s": phases.prepared - phases.started,
        "run_s": time.perf_counter() - phases.prepared,
        "trades": statistics["trades"],
        "trades_file": str(result.files["trades"]),
        "final_equity": statistics["final_equity"],
        "sharpe": statistics["sharpe"],
        "max_drawdown": statistics["max_drawdown"],
        "statistics": statistics,
    }


def costs_of(commission: str | None, half_spread_bps: float | None) -> Costs:
    """Without a ``commission`` the usual costs: 0.003 a share, and half a spread of 2.5 bps. With one, that is all that
    there is to pay, and half a spread where it is given. Raises BadInput.
    """
    usual = Costs()
    if commission is None:
        return Costs(usual.fee_per_share, usual.half_spread_bps if half_spread_bps is None else half_spread_bps)
    number, unit, scale = _commission_unit(commission)
    try:
        amount = Decimal(number) * scale
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= MOST_COMMISSION or amount != amount.to_integral_value():
        finest = "steps of 0.0001 a share" if unit == "/share" else "steps of a millionth of the value"
        raise BadInput(
            "commission",
            "--commission",
            commission,
            f"0.0005, 5bps or 0.003/share, from 0 to all of the value, in {finest}",
        )
    half_spread = half_spread_bps or 0.0
    return Costs(int(amount), half_spread) if unit == "/share" else Costs(0, half_spread, int(amount))


def _commission_unit(commission: str) -> tuple[str, str, int]:
    """The number, its unit, and how many of what the engine counts (1/10,000 a share, millionths) one unit is."""
    for unit, scale in (("/share", PRICE_SCALE), ("bps", 100)):
        if commission.endswith(unit):
            return commission.removesuffix(unit), unit, scale
    return commission, "", 1_000_000


def _load(strategy: str) -> float:
    """Compiles, or loads, what the run will call; seconds. It would be charged to the run otherwise."""
    started = time.perf_counter()
    warm()
    registered(strategy).kernel()
    return time.perf_counter() - started


class _Phases:
    """Progress as lines on stderr, and when preparing ended and trading began."""

    def __init__(self, quiet: bool) -> None:
        self.started = self.prepared = time.perf_counter()
        self._quiet = quiet

    def __call__(self, fraction: float, note: str) -> None:
        if note.startswith("Forming"):
            self.prepared = time.perf_counter()
        if not self._quiet:
            print(f"{fraction:6.1%}  {note}", file=sys.stderr)


def _data(spec: str, out: Path) -> tuple[Path, str]:
    """(history root, dataset); a csv file goes through the ingestion into a history of its own under ``out``."""
    kind, _, rest = spec.partition(":")
    if kind == "history":
        root, _, dataset = rest.rpartition(":")
        if root and dataset:
            return Path(root), dataset
    elif kind == "csv" and rest:
        ingested = read_bars(Path(rest))
        if ingested.errors:
            first = ingested.errors[0]
            raise BadInput("bad_rows", f"{rest}:{first.row}:{first.column}", first.reason, "a file without faulty rows")
        open_history(out / "history").append_bars("csv", ingested.bars)
        return out / "history", "csv"
    raise BadInput("data", "--data", spec, "csv:PATH or history:ROOT:DATASET")


def _parameters(strategy: str, file: Path | None) -> dict[str, Any]:
    if file is None:
        return registered(strategy).parameters({}).model_dump(mode="json")
    try:
        values = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput("params", "--params", file, f"a readable JSON file ({error})") from error
    if not isinstance(values, dict):
        raise BadInput("params", "--params", type(values).__name__, "a JSON object")
    return registered(strategy).parameters(values).model_dump(mode="json")
