"""Serves a simulated exchange that follows the real daily closes of a dataset, or several that follow each other.

The first venue is what the configuration says of itself; ``others`` are more venues in the same process, each with its
own ports, fees, latency, faults and record (``var/exchange-NAME``); ``var/exchange/all.jsonl`` has the lines of all
records. The makers of all stand where the first one's do.
"""

import argparse
import asyncio
import fcntl
import json
import logging
import signal
import sys
import time
import zlib
from collections import Counter
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO, cast

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
from engine.simulation.record import TOGETHER, Record, open_together
from engine.simulation.server import Server, serve
from engine.simulation.venue import Venue

LEAD_NS = SECOND // 2  # from being ready to the first day's start-of-day messages


class Other(msgspec.Struct, forbid_unknown_fields=True):
    """One more venue. A ``dark`` one takes midpoint orders alone, and its market data tells of trades alone."""

    name: str
    dark: bool = False
    receivers: list[str] = []
    receivers_b: list[str] = []
    port_itch: int = 0
    port_ouch: int = 0
    port_glimpse: int = 0
    fees: Fees = Fees()
    latency: Latencies = Latencies()
    faults: Faults = Faults()


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
    activity: float = 1.0  # multiplies how often noise traders act
    name: str = ""  # of the first venue, in its record
    others: list[Other] = []


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
    for one in (config, *config.others):
        one.latency.check()
        one.faults.check()
        _receivers(one)  # raises before there is a record
    if not 0 < config.activity <= 10_000:
        raise BadInput("out_of_range", "activity", config.activity, "over 0 to 10,000")
    names = [one.name for one in config.others]
    if len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
        raise BadInput("bad_config", "others", names, "different names of letters, digits and _")
    directory = Path(config.var) / "exchange"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "exchange.lock").open("w") as lock:
        _only_one(lock, directory)
        return _serve(config, directory)


def _serve(config: Config, directory: Path) -> dict[str, Any]:
    passwords = _passwords(Path(config.accounts_file))
    market = _prepared_market(config)
    warm_up(auctions=config.auctions or bool(config.halts))
    venues = {"": directory, **{one.name: directory.with_name(f"exchange-{one.name}") for one in config.others}}
    for folder in venues.values():
        folder.mkdir(exist_ok=True)
    together = open_together(directory / TOGETHER, list(venues.values())) if config.others else -1
    records = {
        name: Record(folder, list(passwords), venue=name or config.name, number=number, together=together)
        for number, (name, folder) in enumerate(venues.items())
    }
    left = market.after(max(record.state.started for record in records.values()))
    clock = _clock(left or market.dates[-1:], config.day_seconds, finished=not left)
    exchanges: list[Exchange] = []
    all_of_them: list[Config | Other] = [config, *config.others]
    for name, one in zip(venues, all_of_them, strict=True):
        leader = exchanges[0] if exchanges else None
        exchanges.append(_exchange(config, one, market, clock, records[name], list(passwords), leader, bool(left)))
    cancelled = sum(exchange.cancel_leftovers() for exchange in exchanges)
    servers = []
    for folder, exchange, one in zip(venues.values(), exchanges, all_of_them, strict=True):
        replace_file(folder / "clock.json", clock.to_json().encode())
        servers.append(_server(config, one, exchange, folder, passwords))
    about = {"days": len(left), "first_day": left[0] if left else 0, "cancelled_leftovers": cancelled}
    asyncio.run(_until_stopped(servers, [one.name for one in config.others], about))
    for record in records.values():
        record.close()
    faults = {name: server.venue.counts for name, server in zip(venues, servers, strict=True)}
    counters = sum((exchange.orders.counters for exchange in exchanges), Counter[str]())
    others = {"others": {name: faults[name] for name in venues if name}} if config.others else {}
    return {"ok": True, "last_day": exchanges[0].trade_date, "faults": faults[""], **others, **counters}


def _exchange(
    config: Config,
    one: Config | Other,
    market: Market,
    clock: SessionClock,
    record: Record,
    accounts: list[str],
    leader: Exchange | None,
    lasts: bool,
) -> Exchange:
    """``lasts``: days are left to trade."""
    venues = 1 + len(config.others)
    return Exchange(
        market,
        clock,
        record,
        accounts,
        seed=config.seed if leader is None else config.seed ^ zlib.crc32(cast(Other, one).name.encode()),
        messages_per_second=config.messages_per_second / venues,
        finished=not lasts,
        auctions=config.auctions,
        collar=config.collar,
        halts=config.halts,
        fees=one.fees,
        activity=config.activity,
        leader=leader,
        dark=isinstance(one, Other) and one.dark,
    )


def _server(config: Config, one: Config | Other, exchange: Exchange, folder: Path, passwords: dict[str, str]) -> Server:
    lines = _receivers(one)
    return Server(
        Venue(exchange, latencies=one.latency, faults=one.faults, seed=config.seed),
        folder,
        passwords=passwords,
        receivers=lines[0],
        receivers_b=lines[1],
        host=config.host,
        port_itch=one.port_itch,
        port_ouch=one.port_ouch,
        port_glimpse=one.port_glimpse,
    )


def _receivers(one: Config | Other) -> list[list[tuple[str, int]]]:
    """Of each line. Raises BadInput ``bad_address``."""
    lines = {"receivers": one.receivers, "receivers_b": one.receivers_b}
    return [[host_and_port(each, line) for each in receivers] for line, receivers in lines.items()]


def _clock(dates: list[int], day_seconds: float, *, finished: bool) -> SessionClock:
    """Begins just behind the present, or, when no day is left, ended just before it."""
    probe = SessionClock(0, dates, day_seconds)
    lead = LEAD_NS - probe.pre_open_wall_ns(0)
    return SessionClock(time.time_ns() + (-2 * probe.day_ns if finished else lead), dates, day_seconds)


async def _until_stopped(servers: list[Server], names: list[str], about: dict[str, Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready() -> None:
        others = {name: server.ports for name, server in zip(names, servers[1:], strict=True)}
        print(json.dumps({"ports": servers[0].ports, **({"others": others} if others else {}), **about}), flush=True)

    await serve(servers, stop, ready)


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
