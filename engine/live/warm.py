"""Compiles, or loads from the cache, everything compiled that a live core and its agent call."""

import tempfile
from pathlib import Path

import numpy as np

from engine.configuration import Account
from engine.core.compiled import without_blas
from engine.core.engine import Engine
from engine.core.events import EVENT, Kind
from engine.core.state import OUTPUTS
from engine.live.feed import MarketFeed
from engine.live.journal import Reader, Writer
from engine.live.loop import Gateway, Loop
from engine.live.order_session import OrderSession, warm_codecs
from engine.live.pipeline import Pipeline, Replay
from engine.live.recovery import InputState, InputTracker, new_inputs
from engine.live.segment import BLOCK_BYTES, BLOCK_RECORDS, HEADER_BYTES
from engine.strategies.load import load_manifest
from engine.strategies.registry import STRATEGIES

SYMBOL = "WARM"


def warm() -> None:
    """Runs each once on an engine and a journal of its own, which are thrown away."""
    with without_blas():
        warm_step()
        warm_pipeline()
        warm_inputs()


def warm_step() -> None:
    """The step alone: half of all that is compiled, and what pipeline and backtest are made of."""
    Engine(load_manifest).apply(_timer())


def warm_inputs() -> None:
    """Strategies' kernels, and what reads and writes the venue's messages."""
    for strategy in STRATEGIES.values():
        strategy.kernel()
    MarketFeed([SYMBOL], InputState(), Account("", "")).warm()
    warm_codecs(SYMBOL)


def warm_pipeline() -> None:
    """What journals and steps, replays and recovers."""
    timer = _timer()
    with tempfile.TemporaryDirectory() as folder:
        size = HEADER_BYTES + (2 * OUTPUTS // BLOCK_RECORDS + 1) * BLOCK_BYTES
        writer = Writer.create(Path(folder) / "journal", segment_bytes=size)
        pipeline = Pipeline(Engine(load_manifest), writer)
        pipeline.take(timer)
        records = Reader(writer.directory).read(0)
        Replay(Engine(load_manifest)).take(records)
        feed = MarketFeed([SYMBOL], InputState(), Account("", ""))
        feed.warm()
        gateway = Gateway(feed, OrderSession(Account("", ""), [SYMBOL], InputState()), [])
        loop = Loop(pipeline, [gateway], -1, busy=False)
        loop.stop()
        loop.run(0)
        InputTracker(new_inputs()).take(records)
        writer.close()
        Writer.open(writer.directory, segment_bytes=size).close()


def _timer() -> np.ndarray:
    timer = np.zeros(1, EVENT)
    timer["instrument"], timer["kind"] = -1, Kind.TIMER
    return timer
