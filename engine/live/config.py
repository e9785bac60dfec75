"""The engine host's configuration file: one JSON object, checked before anything starts."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from engine.configuration import Account, host_and_port, read_configuration
from engine.core.capacities import MARKETS
from engine.core.events import PRICE_SCALE
from engine.errors import BadInput


class VenueConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    itch_bind: str  # "host:port" on which market data arrives; port 0 takes any free one
    ports_file: str  # where the venue says its retransmission, order and snapshot ports
    clock_file: str
    account_file: str  # JSON with ``username`` and ``password``
    itch_bind_b: str | None = None  # where the same market data arrives by a second line
    snapshot_after: int = 20_000  # messages missing from which on the books are taken from a snapshot instead
    adding_fee: int = 0  # 1/10,000 of the currency a share that adds liquidity; negative is a rebate
    taking_fee: int = 0
    dark: bool = False  # takes midpoint orders, and displays nothing
    latency_ns: int = 0  # one way, as far as it is known: of equal offers the nearer venue's is taken
    min_qty: int = 1  # its least order

    @property
    def itch_addresses(self) -> dict[str, tuple[str, int]]:
        """Where each line arrives, line A first, by the name of its setting. Raises BadInput ``bad_address``."""
        bound = {f"{self.name}.itch_bind": self.itch_bind, f"{self.name}.itch_bind_b": self.itch_bind_b}
        return {field: host_and_port(text, field, least=0) for field, text in bound.items() if text is not None}


class FirmLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this node may do at most over all its strategies; shares and 1/10,000 of the currency."""

    max_order_qty: int = 100_000
    max_order_notional: int = 5_000_000 * PRICE_SCALE
    max_position_qty: int = 1_000_000
    max_gross_notional: int = 100_000_000 * PRICE_SCALE


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``var`` is the engine's own folder; paths are taken as they are."""

    node: str
    var: str
    link: str
    token_file: str
    venues: list[VenueConfig]  # in the order that orders, limits and fees know them by: new ones come behind
    symbols: list[str]
    history: str
    history_dataset: str = ""  # under which what happens is written into the history; "": it is not
    mode: str = "polite"  # or "busy": the core never sleeps
    cpu: int | None = None  # that the core's loop is bound to
    fee_per_share: int = 0  # 1/10,000 of the currency
    firm_limits: FirmLimits = FirmLimits()
    limits_bundle: str = ""  # a signed bundle's file; ``firm_limits`` are signed here without it
    limits_key: str = ""  # file with the hex public key of who signs it
    limits_link: bool = False  # bundles come over the link and are kept in ``var``; until the first one nothing trades
    positions_file: str = ""  # what is held by somebody else's word: see ``engine.live.statement``
    symbol_changes: dict[str, str] = {}  # old name to the one in ``symbols``: the instrument stays what it is
    timer_wall_ms: int = 250  # how often positions are marked to market, in wall time
    reprice_after_s: int = 300  # session time a child order rests behind a moved touch before it follows
    hang_after_ms: int = 1_000  # wall time after which a venue that does not answer an order is left out
    snapshot_records: int = 1_000_000  # journal records between two snapshots
    segment_bytes: int = 16 * 1024 * 1024

    @property
    def venue_names(self) -> list[str]:
        return [venue.name for venue in self.venues]

    @property
    def folder(self) -> Path:
        return Path(self.var)

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def snapshots(self) -> Path:
        return self.folder / "snapshots"

    @property
    def lock(self) -> Path:
        return self.folder / "core.lock"

    @property
    def bundle_file(self) -> str:
        """Where the node's signed bundle lies, "" where the host signs its own."""
        return str(self.folder / "limits.bundle") if self.limits_link else self.limits_bundle

    @property
    def formations(self) -> Path:
        """Where formations of pairs are kept: beside the history, shared with the backtests."""
        return Path(self.history) / "formations"


def load_config(path: Path | str) -> Config:
    """Raises BadInput naming the field that is missing or wrong."""
    config: Config = read_configuration(path, Config, "config")
    if config.mode not in ("polite", "busy"):
        raise BadInput("bad_config", "mode", config.mode, "polite or busy")
    if config.cpu is not None and config.cpu not in os.sched_getaffinity(0):
        raise BadInput("bad_config", "cpu", config.cpu, f"one of {sorted(os.sched_getaffinity(0))}")
    if not config.symbols or len(set(config.symbols)) != len(config.symbols):
        raise BadInput("bad_config", "symbols", config.symbols, "at least one symbol, each once")
    names = config.venue_names
    if not 1 <= len(names) <= MARKETS or len(set(names)) != len(names) or config.venues[0].dark:
        raise BadInput("bad_config", "venues", names, f"1 to {MARKETS} different names, the first of a lit venue")
    for venue in config.venues:
        _ = venue.itch_addresses  # raises for what is no address
        if venue.snapshot_after < 1:
            raise BadInput("bad_config", f"{venue.name}.snapshot_after", venue.snapshot_after, "at least 1 message")
    if bool(config.bundle_file) != bool(config.limits_key):
        raise BadInput("bad_config", "limits_key", config.limits_key, "the signer's public key, and a bundle")
    if config.limits_link and config.limits_bundle:
        raise BadInput("bad_config", "limits_bundle", config.limits_bundle, "no file where bundles come over the link")
    return config


def load_account(path: Path | str) -> Account:
    """The venue account. Raises BadInput."""
    return read_configuration(path, Account, "account_file")


def load_token(path: Path | str) -> str:
    """The node's token. Raises BadInput."""
    try:
        token = Path(path).read_text().strip()
    except OSError as error:
        raise BadInput("unreadable", "token_file", str(path), "a readable file with the node's token") from error
    if not token:
        raise BadInput("empty", "token_file", str(path), "the token that registering the node printed")
    return token


def read_json(path: Path | str) -> dict[str, Any] | None:
    """A JSON file that another process writes; None while it is not there or half written."""
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
