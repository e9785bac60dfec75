"""Limits as documents, and how they come into the state.

Money and prices in 1/10,000 of the currency, quantities in shares, times in ns UTC on the engine's clock. Every limit
is there and finite; 0 lets nothing pass. A bundle is this node's part of the firm's limits: ``limits_bundle`` signs and
verifies it, here it is only read.
"""

from typing import Any

import msgspec
import numpy as np

from engine.core.capacities import DESKS, INSTRUMENTS, VENUES
from engine.core.limits import BEYOND, MOST
from engine.core.risk_record import DESK_LEVELS, LEVEL, STRATEGY_LEVELS, SYMBOL_LEVELS
from engine.errors import BadInput

LONGEST = BEYOND - 1  # the largest limit and the last moment
ALWAYS = 1 << 61  # later than any time of a bundle that does not expire


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one level allows. Measured limits stand in the order of ``limit_names.Limit``."""

    max_order_qty: int
    max_order_notional: int
    max_from_reference_bps: int
    max_behind_near_touch_bps: int
    max_through_far_touch_bps: int
    max_quote_age_ns: int
    max_clock_skew_ns: int
    max_duplicate_orders: int
    max_long_qty: int
    max_short_qty: int
    max_gross_notional: int
    max_net_notional: int
    max_concentration_notional: int
    max_day_loss: int
    max_drawdown: int
    max_orders_per_s: int
    max_messages_per_s: int
    max_cancel_ratio_permille: int
    max_executions: int
    venues: list[int]
    hours_from_ns: int  # after the opening
    hours_until_ns: int  # after the opening, exclusive
    instruments: list[str] | None = None  # None: all that the node has


MEASURED_FIELDS = Limits.__struct_fields__[: Limits.__struct_fields__.index("venues")]


_MOST = {"max_order_qty": MOST} | dict.fromkeys(
    ("max_orders_per_s", "max_messages_per_s", "max_cancel_ratio_permille"), 1_000_000_000
)


class StrategyLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    desk: int  # index among the bundle's desks
    limits: Limits


class DeskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    limits: Limits


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All limits of one node. ``other_symbols`` and ``other_locate`` are for symbols that are not named."""

    number: int
    node: str
    valid_from: int
    valid_until: int
    firm: Limits
    desks: list[DeskLimits]
    strategies: dict[str, StrategyLimits]  # by deployment
    symbols: dict[str, Limits]
    other_symbols: Limits
    restricted: list[str]
    locates: dict[str, int]  # shares a day
    other_locate: int
    allotted: dict[str, int]  # shares of the firm's position that sells on this node may count on
    duplicate_window_ns: int


class SignedBundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``signature`` (hex) over the canonical bytes of ``bundle``, by the Ed25519 key ``key_id``; "" in backtests."""

    bundle: Bundle
    key_id: str = ""
    signature: str = ""


def canonical_bytes(document: Any) -> bytes:
    """Sorted keys, no spaces: equal documents are equal bytes."""
    return msgspec.json.encode(document, order="sorted")


def decode_bundle(payload: bytes) -> SignedBundle:
    """Raises BadInput naming the field."""
    signed: SignedBundle = _decode(payload, SignedBundle, "bundle")
    bundle = signed.bundle
    _in_range("bundle.number", bundle.number, 1, LONGEST)
    _in_range("bundle.valid_until", bundle.valid_until, bundle.valid_from, LONGEST)
    _in_range("bundle.duplicate_window_ns", bundle.duplicate_window_ns, 0, LONGEST)
    if len(bundle.desks) > DESKS:
        raise BadInput("bundle", "bundle.desks", len(bundle.desks), f"at most {DESKS} desks")
    _check_limits("bundle.firm", bundle.firm)
    _check_limits("bundle.other_symbols", bundle.other_symbols)
    for desk in bundle.desks:
        _check_limits(f"bundle.desks[{desk.name}]", desk.limits)
    for symbol, limits in bundle.symbols.items():
        _check_limits(f"bundle.symbols[{symbol}]", limits)
    for deployment, strategy in bundle.strategies.items():
        _check_strategy(f"bundle.strategies[{deployment}]", strategy)
    for symbol, qty in [*bundle.locates.items(), ("", bundle.other_locate), *bundle.allotted.items()]:
        _in_range(f"bundle.locates[{symbol}]", qty, 0, LONGEST)
    return signed


def decode_strategy_limits(payload: bytes) -> StrategyLimits:
    """Raises BadInput naming the field."""
    found: StrategyLimits = _decode(payload, StrategyLimits, "limits")
    _check_strategy("limits", found)
    return found


def _decode(payload: bytes, kind: type, code: str) -> Any:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(code, code, f"{len(payload)} bytes", str(error)) from error


def _in_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadInput("limit_range", field, value, f"{least} to {most}")


def _check_strategy(field: str, strategy: StrategyLimits) -> None:
    _in_range(f"{field}.desk", strategy.desk, 0, DESKS - 1)
    _check_limits(f"{field}.limits", strategy.limits)


def _check_limits(field: str, limits: Limits) -> None:
    for name in MEASURED_FIELDS:
        _in_range(f"{field}.{name}", getattr(limits, name), 0, _MOST.get(name, LONGEST))
    for venue in limits.venues:
        _in_range(f"{field}.venues", venue, 0, VENUES - 1)
    _in_range(f"{field}.hours_until_ns", limits.hours_until_ns, 0, LONGEST)
    _in_range(f"{field}.hours_from_ns", limits.hours_from_ns, -LONGEST, LONGEST)


def fill_bundle(state: Any, signed: SignedBundle, digest: int, symbols: list[str]) -> None:
    """Puts a bundle into ``state`` (a STATE record). Raises BadInput, with nothing changed, for one that is older than
    the newest seen, or another one under its number."""
    bundle, known = signed.bundle, state["bundle"]
    if bundle.number < known["number"] or (bundle.number == known["number"] and digest != known["digest"]):
        raise BadInput("bundle_number", "bundle.number", bundle.number, f"a number above {int(known['number'])}")
    known["number"], known["digest"] = bundle.number, digest
    known["valid_from"], known["valid_until"] = bundle.valid_from, bundle.valid_until
    known["duplicate_window"] = bundle.duplicate_window_ns
    levels = state["levels"]
    _fill(levels[0:1], bundle.firm, symbols)
    for index in range(DESKS):
        row = levels[DESK_LEVELS + index : DESK_LEVELS + index + 1]
        _fill(row, bundle.desks[index].limits if index < len(bundle.desks) else None, symbols)
    fill_symbols(state, bundle, symbols)


def fill_symbols(state: Any, bundle: Bundle, symbols: list[str]) -> None:
    """What a bundle says of each instrument: also when instruments have been added."""
    levels, securities = state["levels"], state["securities"]
    _fill(levels[SYMBOL_LEVELS : SYMBOL_LEVELS + INSTRUMENTS], bundle.other_symbols, symbols)
    for index, symbol in enumerate(symbols):
        if symbol in bundle.symbols:
            row = SYMBOL_LEVELS + index
            _fill(levels[row : row + 1], bundle.symbols[symbol], symbols)
    restricted = set(bundle.restricted)
    securities["restricted"][: len(symbols)] = [symbol in restricted for symbol in symbols]
    securities["locate"][: len(symbols)] = [bundle.locates.get(symbol, bundle.other_locate) for symbol in symbols]
    securities["allotted"][: len(symbols)] = [bundle.allotted.get(symbol, 0) for symbol in symbols]


def fill_strategy(state: Any, strategy: int, limits: StrategyLimits, symbols: list[str]) -> None:
    """Puts a strategy's limits into ``state``; totals are the caller's to recount when its desk is another one."""
    state["slots"][strategy]["desk"] = limits.desk
    row = STRATEGY_LEVELS + strategy
    _fill(state["levels"][row : row + 1], limits.limits, symbols)


def _fill(levels: np.ndarray, limits: Limits | None, symbols: list[str]) -> None:
    """Puts the same limits, or none at all, into LEVEL[n]."""
    fresh = np.zeros(1, LEVEL)[0]
    fresh["limit"] = -1
    if limits is not None:
        fresh["limit"][1:] = [getattr(limits, name) or -1 for name in MEASURED_FIELDS]
        fresh["venues"] = sum(1 << venue for venue in set(limits.venues))
        fresh["hours_from"], fresh["hours_until"] = limits.hours_from_ns, limits.hours_until_ns
        allowed = set(symbols) if limits.instruments is None else set(limits.instruments)
        for index, symbol in enumerate(symbols):
            if symbol in allowed:
                fresh["instruments"].view(np.uint64)[index // 64] |= np.uint64(1 << index % 64)
    for name in ("limit", "venues", "hours_from", "hours_until", "instruments"):
        levels[name] = fresh[name]


def limits_within(envelope: Any) -> Limits:
    """Limits from an envelope (an object with max_order_qty, max_order_notional, max_position_qty and
    max_gross_notional), with everything it does not name so wide that only the envelope binds."""
    gross = min(envelope.max_gross_notional, LONGEST)
    position = min(envelope.max_position_qty, LONGEST)
    return Limits(
        max_order_qty=min(envelope.max_order_qty, MOST),
        max_order_notional=min(envelope.max_order_notional, LONGEST),
        max_from_reference_bps=1_000_000,
        max_behind_near_touch_bps=1_000_000,
        max_through_far_touch_bps=1_000_000,
        max_quote_age_ns=ALWAYS,
        max_clock_skew_ns=ALWAYS,
        max_duplicate_orders=1_000_000,
        max_long_qty=position,
        max_short_qty=position,
        max_gross_notional=gross,
        max_net_notional=gross,
        max_concentration_notional=gross,
        max_day_loss=gross,
        max_drawdown=gross,
        max_orders_per_s=1_000_000,
        max_messages_per_s=1_000_000,
        max_cancel_ratio_permille=1_000_000,
        max_executions=1 << 40,
        venues=list(range(VENUES)),
        hours_from_ns=0,
        hours_until_ns=ALWAYS,
    )


def bundle_within(envelope: Any, *, number: int = 1, node: str = "") -> Bundle:
    """A bundle that does not expire, in which an envelope binds the firm, its one desk and each symbol."""
    limits = limits_within(envelope)
    return Bundle(
        number=number,
        node=node,
        valid_from=0,
        valid_until=ALWAYS,
        firm=limits,
        desks=[DeskLimits("", limits)],
        strategies={},
        symbols={},
        other_symbols=limits,
        restricted=[],
        locates={},
        other_locate=1 << 40,
        allotted={},
        duplicate_window_ns=1_000_000_000,
    )


def firm_limits(envelope: Any) -> bytes:
    """The payload of a LIMITS blob for the firm, unsigned: for backtests and tests."""
    return canonical_bytes(SignedBundle(bundle_within(envelope)))


def strategy_limits(envelope: Any, desk: int = 0) -> bytes:
    """The payload of a LIMITS blob for a strategy."""
    return canonical_bytes(StrategyLimits(desk, limits_within(envelope)))
