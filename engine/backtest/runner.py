"""Runs one version over daily history through the same step as live, and writes what came of it.

The manifest (what was run, on which data, with which costs and code) is hashed, and so is the result: the
same manifest gives the same bytes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine import engine_build
from engine.backtest.costs import Costs
from engine.backtest.days import Fill, day_events, fill_prices, opening_events
from engine.backtest.ledger import Ledger
from engine.backtest.lockstep import Lockstep, Replay
from engine.content import canonical_json
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import EVENT, BlobType, Command, Kind
from engine.core.limit_tables import firm_limits, strategy_limits
from engine.errors import BadInput
from engine.history import History, open_history
from engine.messages import Manifest
from engine.research.cointegration import FormationCache, formation_dates
from engine.strategies.base import Closes, Strategy
from engine.strategies.load import load_manifest
from engine.strategies.registry import strategy as registered

Progress = Callable[[float, str], None]
PREPARE_SHARE = 0.8  # of the progress bar: forming pairs is most of a first run
USUAL = Costs()
REACTION_NS = 1_000_000


class BacktestCancelled(Exception):
    """Raised between two pieces of work once ``cancelled()`` says so; nothing was written."""


@dataclass(frozen=True)
class BacktestResult:
    manifest_hash: str
    result_sha256: str
    statistics: dict[str, Any]
    files: dict[str, Path]


@dataclass(frozen=True)
class _Study:
    """What a run stands on: the validated version and the panel it trades."""

    manifest: Manifest
    strategy: Strategy
    parameters: Any
    symbols: list[str]
    dates: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    formations: list[int]
    costs: Costs
    fill: Fill
    reaction_ns: int
    described: dict[str, Any]


def run_backtest(
    manifest: Manifest,
    history_root: Path | str,
    out_dir: Path | str,
    *,
    costs: Costs = USUAL,
    fill: Fill = Fill.NEXT_OPEN,
    reaction_ns: int = REACTION_NS,
    start: int | None = None,
    end: int | None = None,
    cache: Path | str | None = None,
    progress: Progress = lambda fraction, note: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> BacktestResult:
    """Runs ``manifest`` from ``start`` to ``end`` (yyyymmdd; all that the formation window leaves by default).

    Writes result.json, equity.parquet, trades.parquet and round_trips.parquet into ``out_dir``.
    ``reaction_ns`` is what a strategy that runs outside the engine takes from what it hears to what it wants.
    ``cache`` is the folder of remembered formations (``formations`` beside the history by default).

    Raises BadInput where the version or its data are not what they should be, BacktestCancelled when
    ``cancelled()`` turns true.
    """
    study = _study(manifest, open_history(history_root), costs, fill, reaction_ns, start, end)

    def interrupt() -> None:
        if cancelled():
            raise BacktestCancelled

    formation_cache = FormationCache(Path(cache) if cache else Path(history_root) / "formations", interrupt)
    closes = Closes(*open_history(history_root).closes(manifest.data.dataset), manifest.data.data_hash)
    artifacts = _prepare(study, closes, formation_cache, progress, interrupt)
    ledger = _run(study, artifacts, progress, interrupt)
    result = ledger.write(Path(out_dir), study.described)
    progress(1.0, "Done")
    return BacktestResult(_digest(study.described), result.sha256, result.statistics, result.files)


def _study(
    manifest: Manifest,
    history: History,
    costs: Costs,
    fill: Fill,
    reaction_ns: int,
    start: int | None,
    end: int | None,
) -> _Study:
    strategy = registered(manifest.strategy)
    parameters: Any = strategy.parameters(manifest.parameters)
    meta = history.describe(manifest.data.dataset)
    if meta.data_hash != manifest.data.data_hash:
        raise BadInput("data_hash", "data", meta.data_hash, f"the data that was submitted, {manifest.data.data_hash}")
    dates, symbols, closes = history.closes(manifest.data.dataset)
    opens = history.opens(manifest.data.dataset).prices
    formations = formation_dates(
        dates, start or int(dates[0]), end or int(dates[-1]), formation_days=parameters.formation_days
    )
    if not formations:
        raise BadInput(
            "too_little_history", "formation_days", parameters.formation_days, f"fewer than {len(dates)} days"
        )
    within = (dates >= max(formations[0], start or 0)) & (dates <= (end or int(dates[-1])))
    described = {
        "manifest": msgspec.to_builtins(manifest),
        "costs": asdict(costs),
        "first": int(dates[within][0]),
        "last": int(dates[within][-1]),
        "fill": _fill_in_words(fill, meta.opens_known),
        "engine_build": engine_build(),
        "adjusted": meta.adjusted,
        "survivors_only": meta.survivors_only,
        "symbols": symbols,
    }
    if strategy.implementation:
        described["reaction_ns"] = reaction_ns
    return _Study(
        manifest,
        strategy,
        parameters,
        symbols,
        dates[within],
        opens[within],
        closes[within],
        formations,
        costs,
        fill,
        reaction_ns,
        described,
    )


def _fill_in_words(fill: Fill, opens_known: bool) -> str:
    if fill is Fill.CLOSE:
        return "the close that decided"
    return "next open" if opens_known else "next close (the history has no opens)"


def _prepare(
    study: _Study, closes: Closes, cache: FormationCache, progress: Progress, interrupt: Callable[[], None]
) -> dict[int, bytes]:
    """The artifact of each formation date."""
    artifacts = {}
    for position, as_of in enumerate(study.formations):
        interrupt()
        progress(PREPARE_SHARE * position / len(study.formations), f"Forming pairs as of {as_of}")
        artifacts[as_of] = study.strategy.prepare(
            closes,
            study.parameters,
            as_of=as_of,
            warm_to=max(as_of, int(study.dates[0])),
            instruments=study.symbols,
            cache=cache,
        )
    return artifacts


def _run(study: _Study, artifacts: dict[int, bytes], progress: Progress, interrupt: Callable[[], None]) -> Ledger:
    """All days through the step, a year at a time: each starts with its formation."""
    engine = Engine(load_manifest, fee_per_share=study.costs.fee_per_share, commission_ppm=study.costs.commission_ppm)
    paid = fill_prices(study.opens, study.closes, study.fill)
    capital = study.manifest.capital
    ledger = Ledger(study.symbols, capital, study.costs, study.fill, study.dates, study.closes, paid)
    replay: Replay | None = None
    for position, as_of in enumerate(study.formations):
        interrupt()
        progress(PREPARE_SHARE + (1 - PREPARE_SHARE) * position / len(study.formations), f"Trading {as_of // 10_000}")
        until = study.formations[position + 1] if position + 1 < len(study.formations) else 99_999_999
        days = (study.dates >= as_of if replay else study.dates >= study.dates[0]) & (study.dates < until)
        events = day_events(
            study.dates[days], study.opens[days], study.closes[days], study.costs.half_spread_bps, study.fill
        )
        if not len(events):
            continue
        ts = int(events[0]["ts_event"])
        replay = replay or _load(engine, study, ts)
        engine.apply_blob(blob(BlobType.ARTIFACT, artifacts[as_of], strategy=0, ts=ts), artifacts[as_of])
        ledger.on_formation(study.strategy.pair_names(artifacts[as_of], study.symbols), int(study.dates[days][0]))
        for records in replay.run(events):
            ledger.on_records(records)
    return ledger


def _load(engine: Engine, study: _Study, ts: int) -> Replay:
    """The engine's instruments, limits, manifest and parameters, and the command to start; what steps it from there."""
    payloads = [
        (BlobType.INSTRUMENTS, FIRM, json.dumps(study.symbols).encode()),
        (BlobType.LIMITS, FIRM, firm_limits(study.manifest.envelope)),
        (BlobType.MANIFEST, 0, msgspec.json.encode(study.manifest)),
        (BlobType.LIMITS, 0, strategy_limits(study.manifest.envelope)),
        (BlobType.PARAMETERS, 0, study.strategy.parameter_record(study.parameters)),
    ]
    for blob_type, strategy, payload in payloads:
        engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=ts), payload)
    replay = _replay_of(engine, study)
    start = np.zeros(1, EVENT)
    start["ts_event"] = start["ts_recv"] = ts
    start["instrument"] = -1
    start["kind"] = Kind.COMMAND
    start["command"] = Command.START
    engine.apply(start)
    for index in range(len(opening := opening_events(len(study.symbols), ts))):
        engine.apply(opening, index)
    return replay


def _replay_of(engine: Engine, study: _Study) -> Replay:
    implementation = study.strategy.implementation
    if implementation is None:
        return Replay(engine, study.costs.inside)
    strategy = implementation(study.parameters, study.symbols, study.manifest.capital)
    return Lockstep(engine, strategy, study.reaction_ns, study.costs.inside)


def warm() -> None:
    """Compiles, or loads from the cache, what a backtest calls."""
    for _ in Replay(Engine(load_manifest)).run(opening_events(1, 0)):
        continue


def _digest(described: dict[str, Any]) -> str:
    return sha256(canonical_json(described)).hexdigest()
