"""What an OUCH order asks for, as the matching engine has it: time in force, display, peg, minimum, cross.

OUCH 5.0 section 2.1 and Appendix A. Fill-or-kill is an immediate order whose minimum quantity is its quantity. A market
order has the price that stands for one (``MARKET_PRICE``), and is immediate or for a cross.
"""

from collections.abc import Mapping
from enum import IntEnum

from engine.protocols import ouch
from engine.simulation import flow
from engine.simulation.matching_records import (
    CLOSING,
    DAY,
    EVERYTHING,
    FILL_OR_KILL,
    IMMEDIATE,
    LIMIT,
    MARKET,
    MIDPOINT,
    OPENING,
    NewOrder,
    Prevention,
    Reason,
)

LARGEST_PRICE = 1_999_999_900  # OUCH 5.0 section 1.2: 199,999.99
MARKET_PRICE = 0x7FFF_FFFF  # 214,748.3647
SIDES = {"B": 1, "S": -1, "T": -1, "E": -1}
TIMES = {"0": DAY, "3": IMMEDIATE}
CROSSES = {"O": OPENING, "C": CLOSING, "H": OPENING}  # what reopens a halted symbol is an opening
CAPACITIES = ("A", "P", "R", "O")
PREVENTIONS = {
    "W": Prevention.CANCEL_NEWEST,
    "O": Prevention.CANCEL_OLDEST,
    "D": Prevention.DECREMENT_BOTH,
    "Y": Prevention.DECREMENT_BOTH,
}
# Options that change nothing in how this exchange matches.
HARMLESS = {"firm", "customer_type", "group_id", "shares_located", "locate_broker", "user_ref_idx", "aiq_group_id"}
UNDERSTOOD = HARMLESS | {"min_qty", "max_floor", "price_type", "post_only", "aiq_strategy"}
CANCELED_BY_USER, CANCELED_IMMEDIATE, CANCELED_TIMEOUT, CANCELED_SYSTEM = "U", "I", "T", "Z"
# Appendix B: why an order has ended by itself.
CANCEL_REASONS: dict[int, str] = {
    Reason.IMMEDIATE: CANCELED_IMMEDIATE,
    Reason.UNFILLED: CANCELED_IMMEDIATE,
    Reason.MINIMUM: CANCELED_IMMEDIATE,
    Reason.POST_ONLY: "G",
    Reason.SELF_MATCH: "Q",
    Reason.COLLAR: "K",
    Reason.AUCTION_OVER: CANCELED_TIMEOUT,
    Reason.NO_PRICE_ROOM: CANCELED_SYSTEM,
    Reason.NO_REPORT_ROOM: CANCELED_SYSTEM,
}


class RejectReason(IntEnum):
    """OUCH 5.0 Appendix C, as far as it is used here."""

    DESTINATION_CLOSED = 0x0002
    INVALID_DISPLAY = 0x0003
    INVALID_MAX_FLOOR = 0x0004
    INVALID_PEG_TYPE = 0x0005
    HALTED = 0x0007
    ISO_NOT_ALLOWED = 0x0008
    INVALID_SIDE = 0x0009
    PROCESSING_ERROR = 0x000A
    FIRM_NOT_AUTHORIZED = 0x000C
    INVALID_MIN_QUANTITY = 0x000D
    OTHER = 0x000F
    INVALID_QUANTITY = 0x0013
    INVALID_CROSS_ORDER = 0x0014
    REPLACE_NOT_ALLOWED = 0x0015
    INVALID_SYMBOL = 0x0017
    INVALID_PRICE = 0x001D


def options(order: ouch.EnterOrder) -> dict[str, int | str | bytes]:
    return {option.name: option.value for option in order.appendage}


def why_refused(order: ouch.EnterOrder) -> RejectReason | None:
    """What is wrong with the order by itself, whatever the market's state."""
    asked = options(order)
    cross, peg = order.cross_type in CROSSES, asked.get("price_type", "L") == "M"
    immediate, post_only = order.time_in_force == "3", asked.get("post_only", "N") == "P"
    is_market = order.price == MARKET_PRICE
    priced = 0 < order.price <= LARGEST_PRICE and (peg or order.price % flow.TICK == 0)
    needs_none = (is_market and (immediate or cross)) or (peg and order.price == 0)
    minimum, floor = _number(asked, "min_qty"), _number(asked, "max_floor")
    hidden = order.display == "N"
    checks = (
        (order.side not in SIDES, RejectReason.INVALID_SIDE),
        (not 0 < order.quantity <= ouch.MAX_QUANTITY, RejectReason.INVALID_QUANTITY),
        (not priced and not needs_none, RejectReason.INVALID_PRICE),
        (order.display not in ("Y", "N") or (peg and not hidden), RejectReason.INVALID_DISPLAY),
        (not cross and order.cross_type != "N", RejectReason.INVALID_CROSS_ORDER),
        (cross and (immediate or peg or post_only or minimum > 0), RejectReason.INVALID_CROSS_ORDER),
        (order.intermarket_sweep != "N", RejectReason.ISO_NOT_ALLOWED),
        (asked.get("price_type", "L") not in ("L", "M"), RejectReason.INVALID_PEG_TYPE),
        (floor > 0 and (hidden or floor > order.quantity), RejectReason.INVALID_MAX_FLOOR),
        (minimum > order.quantity, RejectReason.INVALID_MIN_QUANTITY),
        (minimum > 0 and not immediate and not hidden, RejectReason.INVALID_MIN_QUANTITY),
        (order.time_in_force not in TIMES or order.capacity not in CAPACITIES, RejectReason.OTHER),
        (post_only and immediate, RejectReason.OTHER),
        (asked.get("post_only", "N") not in ("P", "N"), RejectReason.OTHER),
        (str(asked.get("aiq_strategy", "W")).upper() not in PREVENTIONS, RejectReason.OTHER),
        (not asked.keys() <= UNDERSTOOD, RejectReason.OTHER),
    )
    return next((reason for refused, reason in checks if refused), None)


def new_order(order: ouch.EnterOrder, instrument: int, qty: int, owner: int) -> NewOrder:
    """An order that ``why_refused`` has nothing against, for its ``qty`` open shares; ``owner`` is its group too."""
    asked = options(order)
    peg = asked.get("price_type", "L") == "M"
    is_market = order.price == MARKET_PRICE
    minimum = _number(asked, "min_qty")
    in_force = CROSSES.get(order.cross_type, TIMES[order.time_in_force])
    whole = in_force == IMMEDIATE and minimum == order.quantity
    strategy = str(asked.get("aiq_strategy", "")).upper()
    return NewOrder(
        instrument,
        SIDES[order.side],
        0 if is_market else order.price,
        qty,
        kind=MARKET if is_market else MIDPOINT if peg else LIMIT,
        time_in_force=FILL_OR_KILL if whole else in_force,
        display=0 if order.display == "N" else _number(asked, "max_floor") or EVERYTHING,
        min_qty=0 if whole else min(minimum, qty),
        post_only=asked.get("post_only", "N") == "P",
        group=owner,
        prevention=PREVENTIONS.get(strategy, Prevention.ALLOW),
        owner=owner,
        tag=order.user_ref_num,
    )


def _number(asked: Mapping[str, int | str | bytes], name: str) -> int:
    value = asked.get(name, 0)
    return value if isinstance(value, int) else 0
