"""Compiles, or loads from the cache, everything compiled that a live core and its agent call."""

import tempfile
from pathlib import Path

import numpy as np

from engine.configuration import Account
from engine.core.engine import Engine
from engine.core.events import EVENT, Kind
from engine.core.state import OUTPUTS
from engine.live.feed import MarketFeed
from engine.live.journal import Reader, Writer
from engine.live.order_session import warm_codecs
from engine.live.pipeline import Pipeline, Replay
from engine.live.recovery import InputState, InputTracker
from engine.live.segment import BLOCK_BYTES, BLOCK_RECORDS, HEADER_BYTES
from engine.strategies.load import load_manifest
from engine.strategies.registry import STRATEGIES

SYMBOL = "WARM"


def warm() -> None:
    """Runs each once on an engine and a journal of its own, which are thrown away."""
    for strategy in STRATEGIES.values():
        strategy.kernel()
    timer = np.zeros(1, EVENT)
    timer["instrument"], timer["kind"] = -1, Kind.TIMER
    with tempfile.TemporaryDirectory() as folder:
        size = HEADER_BYTES + (2 * OUTPUTS // BLOCK_RECORDS + 1) * BLOCK_BYTES
        writer = Writer.create(Path(folder) / "journal", segment_bytes=size)
        pipeline = Pipeline(Engine(load_manifest), writer)
        pipeline.engine.apply(timer)
        pipeline.take(timer)
        records = Reader(writer.directory).read(0)
        Replay(Engine(load_manifest)).take(records)
        InputTracker(InputState()).take(records)
        writer.close()
        Writer.open(writer.directory, segment_bytes=size).close()
    MarketFeed([SYMBOL], InputState(), Account("", "")).warm()
    warm_codecs(SYMBOL)
