"""The exchange's GLIMPSE port over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from engine.core.clock import SessionClock
from engine.errors import BadInput
from engine.protocols import glimpse, itch, moldudp64
from engine.simulation import glimpse_port
from engine.simulation.exchange import Exchange, warm_up
from engine.simulation.market import Market
from engine.simulation.record import Record
from engine.simulation.server import Server, serve
from engine.simulation.venue import Venue

SECOND = 1_000_000_000
DATES = [20130102, 20130103]
SYMBOLS = ["KO", "PEP"]
CLOSES = np.array([[37_6000, 69_5000], [37_8000, 69_9000]])


@asynccontextmanager
async def served(folder: Path, *, begins_in: int = -SECOND, **options: int) -> AsyncIterator[Server]:
    """An exchange whose first day (of a minute) began a second ago."""
    warm_up()
    market = Market(np.array(DATES), SYMBOLS, CLOSES, None, start=DATES[0], end=DATES[-1], seed=7)
    clock = SessionClock(time.time_ns() + begins_in, DATES, 60.0)
    exchange = Exchange(market, clock, Record(folder, ["ada"]), ["ada"], seed=7)
    exchange.on_time(time.time_ns())
    server = Server(Venue(exchange), folder, passwords={"ada": "secret"}, receivers=[], **options)
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(serve([server], stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if serving.done():
            await serving
        yield server
    finally:
        waiting.cancel()
        stop.set()
        await asyncio.gather(serving, return_exceptions=True)


async def ask(server: Server, username: str = "ada", password: str = "secret") -> glimpse.Snapshot | glimpse.Failed:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["glimpse"])
    client = glimpse.Client(username, password)
    client.connect(time.monotonic_ns())
    answer = None
    while answer is None:
        writer.write(client.take())
        chunk = await asyncio.wait_for(reader.read(1 << 16), 10)
        answer = client.receive(chunk, time.monotonic_ns()) if chunk else client.connection_lost()
    writer.write(client.take())
    assert await asyncio.wait_for(reader.read(1 << 16), 10) == b""  # the server hangs up after the logout
    writer.close()
    return answer


async def test_the_port_is_told_and_gives_the_day_so_far(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        assert json.loads((tmp_path / "ports.json").read_text())["glimpse"] == server.ports["glimpse"]
        snapshot = await ask(server)
        assert isinstance(snapshot, glimpse.Snapshot)
        assert snapshot.session == "20130102"
        messages = [itch.decode(raw) for raw in moldudp64.unframe(snapshot.block, snapshot.count)]
        symbols = [message.stock for message in messages if isinstance(message, itch.StockDirectory)]
        assert symbols == SYMBOLS
        assert sum(isinstance(message, itch.AddOrder) for message in messages) > 10
        assert not server.snapshots


async def test_a_wrong_password_and_a_day_that_has_not_begun_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path, begins_in=60 * SECOND) as server:
        assert await ask(server, password="wrong") == glimpse.Failed("rejected_A")
        assert await ask(server, username="nobody") == glimpse.Failed("rejected_A")
        assert await ask(server) == glimpse.Failed("rejected_S")


async def test_more_connections_than_allowed_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glimpse_port, "MAX_CONNECTIONS", 1)
    async with served(tmp_path) as server:
        _, idle = await asyncio.open_connection("127.0.0.1", server.ports["glimpse"])
        while not server.snapshots:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["glimpse"])
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 10)
        for each in (idle, writer):
            each.close()


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with served(tmp_path / "one") as server:
        with pytest.raises(BadInput, match="port_glimpse"):
            async with served(tmp_path / "two", port_glimpse=server.ports["glimpse"]):
                pass
