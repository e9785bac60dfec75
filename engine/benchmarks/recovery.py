"""How long a core needs after kill -9 until it trades again, with ``--events`` journal records and no snapshot.

A live core journals the market data of ``--pairs`` pairs and what its strategy makes of it, is killed while that runs,
and is started anew as the agent would, with orders in doubt. *Reconciled* is when it has replayed its journal, logged
in to the venue from the message that it knows, and been told which order is expected next; *trading* when its first
order is read, on market data that the venue sends from then on (its next session, so that nothing is re-requested).
Wall time from the start of the process; the peer is a process that imports numba, without which no engine starts.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.benchmarks.live_core import LiveCore
from engine.benchmarks.surroundings import commit, machine
from engine.errors import BadInput
from engine.live.journal import Reader
from engine.protocols import itch

SYMBOLS = 500
PRICE, TICK = 1_000_000, 100
MESSAGES = 30  # a packet
FIRST_REPLACEMENT = 1_000_000
PACKETS_AT_ONCE = 20  # between two pauses, for which the socket's buffer has room
PACKETS_A_LOOK = 100
LEGS = 2  # instruments that are quoted after the kill: those of the first pair
PAUSE = 0.001
PATIENCE = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="records in the journal before the kill, at least"
    )
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3, help="kills, of which the median counts")
    parser.add_argument("--folder", type=Path, help="where the journal is written (default: HELIOGRAPH_VAR, or var)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    folder = arguments.folder or Path(os.environ.get("HELIOGRAPH_VAR", "var"))
    symbols = [f"S{number:03d}" for number in range(SYMBOLS)]
    with tempfile.TemporaryDirectory(prefix="bench-recovery-", dir=folder) as scratch:
        core = LiveCore(Path(scratch), symbols, mode="polite", cpu=None)
        try:
            core.deploy(arguments.pairs, lookback=10, entry=0.5, exit=0.1, stop=50.0, leg_notional=1_000)
            core.open_session(PRICE)
            _journal(core, arguments.events)
            events = Reader(Path(scratch) / "engine" / "journal").last
            rounds = [_kill_and_recover(core) for _ in range(arguments.rounds)]
        finally:
            core.close()
    imports = [_import_numba() for _ in range(arguments.rounds)]
    reconciled, trading = (statistics.median(each) for each in zip(*rounds, strict=True))
    peer = statistics.median(imports)
    return {
        "bench": "recovery",
        "ok": True,
        "ours": round(trading, 2),
        "peer": round(peer, 2),
        "ratio": round(trading / peer, 2),
        "unit": "s",
        "n": arguments.rounds,
        "commit": commit(),
        "machine": machine(),
        "events": events,
        "reconciled_s": round(reconciled, 2),
        "trading_s": round(trading, 2),
        "trading_s_of_rounds": [round(each, 2) for _, each in rounds],
    }


def _journal(core: LiveCore, events: int) -> None:
    """Moves the bids of instruments that are in no pair's way up and down until so many records are journaled."""
    latest = {index: 2 * index + 1 for index in range(SYMBOLS)}
    number, packets = FIRST_REPLACEMENT, 0
    while packets % PACKETS_A_LOOK or core.status()["events"] < events:
        messages: list[Any] = []
        for _ in range(MESSAGES):
            index = number % (SYMBOLS - 1) + 1  # the first instrument is for the time after the kill
            price = PRICE + TICK * (number // SYMBOLS % 2)
            messages.append(itch.OrderReplace(index + 1, 0, 0, latest[index], number, 10_000, price))
            latest[index], number = number, number + 1
        core.send(messages)
        packets += 1
        if packets % PACKETS_AT_ONCE == 0:
            _drain(core.orders)
            time.sleep(PAUSE)
    give_up = time.monotonic() + PATIENCE
    while core.status()["stale"]:
        if time.monotonic() > give_up:
            raise BadInput("events", "events", packets, "packets of which none is lost")
        time.sleep(0.1)


def _drain(orders: socket.socket) -> None:
    """Orders of before the kill are never answered: they are in doubt, and end with the account's answer."""
    orders.setblocking(False)
    with suppress(BlockingIOError):  # nothing more is at hand
        while orders.recv(1 << 16):
            continue


def _kill_and_recover(core: LiveCore) -> tuple[float, float]:
    """Seconds from the start of the next process to the login's end, and to its first order."""
    core.process.send_signal(signal.SIGKILL)
    core.process.wait()
    core.orders.close()
    core.date, core.sequence = core.date + 1, 1
    began = time.monotonic()
    core.start()
    reconciled = time.monotonic() - began
    core.market.connect(("127.0.0.1", core.status()["itch_ports"][0]))
    core.open_session(PRICE, LEGS)
    core.orders.settimeout(0.002)
    latest, number, give_up = 1, FIRST_REPLACEMENT, time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        core.send([itch.OrderReplace(1, 0, 0, latest, number, 10_000, PRICE + TICK * (number % 2))])
        latest, number = number, number + 1
        if _has_order(core.orders):
            return reconciled, time.monotonic() - began
    raise BadInput("recovery", "date", core.date, f"an order within {PATIENCE:.0f} s")


def _has_order(orders: socket.socket) -> bool:
    try:
        return b"\x00\x30UO" in orders.recv(1 << 16)
    except TimeoutError:
        return False


def _import_numba() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import numba"], check=True)
    return time.monotonic() - began
