"""Serves a simulated exchange that follows the real daily closes of a dataset."""

import argparse
import asyncio
import fcntl
import json
import logging
import signal
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

import msgspec

from engine.configuration import Account, host_and_port, read_configuration
from engine.core.clock import SessionClock
from engine.dates import as_yyyymmdd, new_years_day
from engine.errors import BadInput
from engine.files import replace_file
from engine.simulation.crosses import Halt
from engine.simulation.exchange import COLLAR, MESSAGES_PER_SECOND, SECOND, Exchange, warm_up
from engine.simulation.faults import Faults
from engine.simulation.fees import Fees
from engine.simulation.latency import Latencies
from engine.simulation.market import Market
from engine.simulation.record import Record
from engine.simulation.server import Server
from engine.simulation.venue import Venue

LEAD_NS = SECOND // 2  # from being ready to the first day's start-of-day messages


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """``start`` and ``end`` are the first and last trading day (yyyy-mm-dd); port 0 is any free one."""

    var: str
    history: str
    dataset: str
    start: str
    end: str
    accounts_file: str  # JSON: one {"username", "password"} or a list of them
    receivers: list[str] = []  # host:port of line A of the market data
    receivers_b: list[str] = []  # of line B, which carries the same
    day_seconds: float = 2.0  # wall seconds for one trading day
    seed: int = 7
    port_itch: int = 0
    port_ouch: int = 0
    port_glimpse: int = 0
    host: str = "127.0.0.1"
    symbols: list[str] | None = None  # None: all of the dataset
    messages_per_second: float = MESSAGES_PER_SECOND
    auctions: bool = False  # opening and closing; orders are taken from the start-of-day messages on
    collar: int = COLLAR  # 1/10,000 of the touch that an order may trade through; 0: none
    halts: list[Halt] = []
    fees: Fees = Fees()
    latency: Latencies = Latencies()
    faults: Faults = Faults()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="JSON file; see engine.commands.exchange.Config")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the loop takes over: ends the loading child too
    config = read_configuration(arguments.config, Config, "config")
    if not 0.1 <= config.day_seconds <= 86_400:
        raise BadInput("out_of_range", "day_seconds", config.day_seconds, "0.1 to 86,400 seconds")
    if not 0 <= config.collar <= 1_000_000:
        raise BadInput("out_of_range", "collar", config.collar, "0 to 1,000,000 of 1/10,000")
    config.latency.check()
    config.faults.check()
    directory = Path(config.var) / "exchange"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "exchange.lock").open("w") as lock:
        _only_one(lock, directory)
        return _serve(config, directory)


def _serve(config: Config, directory: Path) -> dict[str, Any]:
    passwords = _passwords(Path(config.accounts_file))
    receivers = [host_and_port(each, "receivers") for each in config.receivers]
    receivers_b = [host_and_port(each, "receivers_b") for each in config.receivers_b]
    market = _prepared_market(config)
    warm_up(auctions=config.auctions or bool(config.halts))
    record = Record(directory, list(passwords))
    left = market.after(record.state.started)
    clock = _clock(left or market.dates[-1:], config.day_seconds, finished=not left)
    exchange = Exchange(
        market,
        clock,
        record,
        list(passwords),
        seed=config.seed,
        messages_per_second=config.messages_per_second,
        finished=not left,
        auctions=config.auctions,
        collar=config.collar,
        halts=config.halts,
        fees=config.fees,
    )
    cancelled = exchange.cancel_leftovers()
    replace_file(directory / "clock.json", clock.to_json().encode())
    venue = Venue(exchange, latencies=config.latency, faults=config.faults, seed=config.seed)
    server = Server(
        venue,
        directory,
        passwords=passwords,
        receivers=receivers,
        receivers_b=receivers_b,
        host=config.host,
        port_itch=config.port_itch,
        port_ouch=config.port_ouch,
        port_glimpse=config.port_glimpse,
    )
    about = {"days": len(left), "first_day": left[0] if left else 0, "cancelled_leftovers": cancelled}
    asyncio.run(_until_stopped(server, about))
    record.close()
    return {"ok": True, "last_day": exchange.trade_date, "faults": venue.counts, **exchange.orders.counters}


def _clock(dates: list[int], day_seconds: float, *, finished: bool) -> SessionClock:
    """Begins just behind the present, or, when no day is left, ended just before it."""
    probe = SessionClock(0, dates, day_seconds)
    lead = LEAD_NS - probe.pre_open_wall_ns(0)
    return SessionClock(time.time_ns() + (-2 * probe.day_ns if finished else lead), dates, day_seconds)


async def _until_stopped(server: Server, about: dict[str, Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.serve(stop, lambda ports: print(json.dumps({"ports": ports, **about}), flush=True))


def _prepared_market(config: Config) -> Market:
    """The market, loaded by a child process, which also fills the cache of compiled code.

    The libraries that read history, and the compiler, would keep 200 MB in a process that runs for hours. Raises
    ``BadInput`` for an unknown dataset, symbol or range of days.
    """
    receiving, sending = get_context("fork").Pipe(duplex=False)
    child = get_context("fork").Process(target=_prepare, args=(config, sending), daemon=True)
    child.start()
    sending.close()
    try:
        answer = receiving.recv()
    except EOFError as error:
        child.join()
        raise RuntimeError(f"loading the market ended with exit code {child.exitcode}") from error
    child.join()
    if isinstance(answer, Market):
        return answer
    raise BadInput(*answer)


def _prepare(config: Config, sending: Connection) -> None:
    try:
        market = _market(config)
    except BadInput as error:
        sending.send((error.code, error.field, error.value, error.expected))
        return
    warm_up(auctions=config.auctions or bool(config.halts))
    sending.send(market)


def _market(config: Config) -> Market:
    from engine.history import open_history  # only ever in the child

    start, end = as_yyyymmdd(config.start), as_yyyymmdd(config.end)
    history = open_history(config.history)
    earlier = new_years_day(start) - 10_000  # at least a year more: the first previous close and volatility
    closes = history.closes(config.dataset, earlier, end, config.symbols)
    opens = history.opens(config.dataset, earlier, end, closes.symbols)
    return Market(closes.dates, closes.symbols, closes.prices, opens.prices, start=start, end=end, seed=config.seed)


def _passwords(path: Path) -> dict[str, str]:
    accounts = read_configuration(path, list[Account] | Account, "accounts_file")
    accounts = accounts if isinstance(accounts, list) else [accounts]
    for account in accounts:
        if not 0 < len(account.username) <= 6 or not 0 < len(account.password) <= 10:
            expected = "1 to 6 characters of username and 1 to 10 of password, as SoupBinTCP has them"
            raise BadInput("out_of_range", "accounts_file", account.username, expected)
    return {account.username: account.password for account in accounts}


def _only_one(lock: TextIO, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BadInput("already_running", "var", str(directory), "a folder that no other exchange serves") from error
