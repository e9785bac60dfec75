"""Nasdaq TotalView-ITCH 5.0 (April 2023): every message of section 1, "Message Formats".

One class a message; its annotated fields, in wire order, are the layout. Times are ns since midnight New York, prices
integers in 1/10,000 unless a field says otherwise, quantities shares. `decode` makes a message of its bytes,
`encode` the same bytes of the message.

    >>> decode(encode(OrderDelete(7, 0, 34_200_000_000_000, 11))).order_reference_number
    11
"""

from typing import ClassVar

from engine.protocols.layout import (
    U16,
    U32,
    U48,
    U64,
    Alpha2,
    Alpha4,
    Alpha8,
    Char,
    Layout,
    Price4,
    WireError,
    WireMessage,
)


class ItchMessage(WireMessage, frozen=True):
    """What all begin with. ``stock_locate`` is 0 where a message is about no single security."""

    stock_locate: U16
    tracking_number: U16
    timestamp: U48


class SystemEvent(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "S"
    SECTION: ClassVar[str] = "1.1"
    event_code: Char  # O, S, Q (open), M (close), E, C


class StockDirectory(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "R"
    SECTION: ClassVar[str] = "1.2.1"
    stock: Alpha8
    market_category: Char
    financial_status_indicator: Char
    round_lot_size: U32
    round_lots_only: Char
    issue_classification: Char
    issue_sub_type: Alpha2
    authenticity: Char  # P live, T test
    short_sale_threshold_indicator: Char
    ipo_flag: Char
    luld_reference_price_tier: Char
    etp_flag: Char
    etp_leverage_factor: U32
    inverse_indicator: Char


class StockTradingAction(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "H"
    SECTION: ClassVar[str] = "1.2.2"
    stock: Alpha8
    trading_state: Char  # H halted, P paused, Q quotation only, T trading
    reserved: Char
    reason: Alpha4


class RegShoRestriction(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "Y"
    SECTION: ClassVar[str] = "1.2.3"
    stock: Alpha8
    reg_sho_action: Char


class MarketParticipantPosition(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "L"
    SECTION: ClassVar[str] = "1.2.4"
    mpid: Alpha4
    stock: Alpha8
    primary_market_maker: Char
    market_maker_mode: Char
    market_participant_state: Char


class MwcbDeclineLevel(ItchMessage, frozen=True):
    """The three levels are prices in 1/100,000,000."""

    TYPE: ClassVar[str] = "V"
    SECTION: ClassVar[str] = "1.2.5.1"
    level_1: U64
    level_2: U64
    level_3: U64


class MwcbStatus(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "W"
    SECTION: ClassVar[str] = "1.2.5.2"
    breached_level: Char


class QuotingPeriodUpdate(ItchMessage, frozen=True):
    """``ipo_quotation_release_time`` is in seconds since midnight."""

    TYPE: ClassVar[str] = "K"
    SECTION: ClassVar[str] = "1.2.6"
    stock: Alpha8
    ipo_quotation_release_time: U32
    ipo_quotation_release_qualifier: Char
    ipo_price: Price4


class LuldAuctionCollar(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "J"
    SECTION: ClassVar[str] = "1.2.7"
    stock: Alpha8
    auction_collar_reference_price: Price4
    upper_auction_collar_price: Price4
    lower_auction_collar_price: Price4
    auction_collar_extension: U32


class OperationalHalt(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "h"
    SECTION: ClassVar[str] = "1.2.8"
    stock: Alpha8
    market_code: Char  # Q Nasdaq, B BX, X PSX
    operational_halt_action: Char  # H halted, T resumed


class AddOrder(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "A"
    SECTION: ClassVar[str] = "1.3.1"
    order_reference_number: U64
    side: Char  # B, S
    shares: U32
    stock: Alpha8
    price: Price4


class AddOrderMpid(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "F"
    SECTION: ClassVar[str] = "1.3.2"
    order_reference_number: U64
    side: Char
    shares: U32
    stock: Alpha8
    price: Price4
    attribution: Alpha4


class OrderExecuted(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "E"
    SECTION: ClassVar[str] = "1.4.1"
    order_reference_number: U64
    executed_shares: U32
    match_number: U64


class OrderExecutedWithPrice(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "C"
    SECTION: ClassVar[str] = "1.4.2"
    order_reference_number: U64
    executed_shares: U32
    match_number: U64
    printable: Char  # Y, N
    execution_price: Price4


class OrderCancel(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "X"
    SECTION: ClassVar[str] = "1.4.3"
    order_reference_number: U64
    cancelled_shares: U32


class OrderDelete(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "D"
    SECTION: ClassVar[str] = "1.4.4"
    order_reference_number: U64


class OrderReplace(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "U"
    SECTION: ClassVar[str] = "1.4.5"
    original_order_reference_number: U64
    new_order_reference_number: U64
    shares: U32
    price: Price4


class Trade(ItchMessage, frozen=True):
    """A match with an order that was not displayed; ``side`` is always B since 2014."""

    TYPE: ClassVar[str] = "P"
    SECTION: ClassVar[str] = "1.5.1"
    order_reference_number: U64
    side: Char
    shares: U32
    stock: Alpha8
    price: Price4
    match_number: U64


class CrossTrade(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "Q"
    SECTION: ClassVar[str] = "1.5.2"
    shares: U64
    stock: Alpha8
    cross_price: Price4
    match_number: U64
    cross_type: Char  # O opening, C closing, H IPO or halt


class BrokenTrade(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "B"
    SECTION: ClassVar[str] = "1.5.3"
    match_number: U64


class NetOrderImbalance(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "I"
    SECTION: ClassVar[str] = "1.6"
    paired_shares: U64
    imbalance_shares: U64
    imbalance_direction: Char  # B, S, N none, O insufficient, P paused
    stock: Alpha8
    far_price: Price4
    near_price: Price4
    current_reference_price: Price4
    cross_type: Char
    price_variation_indicator: Char


class RetailPriceImprovement(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "N"
    SECTION: ClassVar[str] = "1.7"
    stock: Alpha8
    interest_flag: Char


class DirectListingWithCapitalRaise(ItchMessage, frozen=True):
    TYPE: ClassVar[str] = "O"
    SECTION: ClassVar[str] = "1.8"
    stock: Alpha8
    open_eligibility_status: Char
    minimum_allowable_price: Price4
    maximum_allowable_price: Price4
    near_execution_price: Price4
    near_execution_time: U64
    lower_price_range_collar: Price4
    upper_price_range_collar: Price4


MESSAGES: tuple[type[ItchMessage], ...] = (
    SystemEvent,
    StockDirectory,
    StockTradingAction,
    RegShoRestriction,
    MarketParticipantPosition,
    MwcbDeclineLevel,
    MwcbStatus,
    QuotingPeriodUpdate,
    LuldAuctionCollar,
    OperationalHalt,
    AddOrder,
    AddOrderMpid,
    OrderExecuted,
    OrderExecutedWithPrice,
    OrderCancel,
    OrderDelete,
    OrderReplace,
    Trade,
    CrossTrade,
    BrokenTrade,
    NetOrderImbalance,
    RetailPriceImprovement,
    DirectListingWithCapitalRaise,
)
LAYOUTS: dict[int, Layout] = {ord(cls.TYPE): Layout("itch", cls) for cls in MESSAGES}
_BY_CLASS: dict[type, Layout] = {layout.cls: layout for layout in LAYOUTS.values()}
LENGTHS: dict[int, int] = {code: layout.size for code, layout in LAYOUTS.items()}


def decode(message: bytes | memoryview) -> ItchMessage:
    """The message in `message` (without its length).

    Raises:
        WireError: ``truncated`` (empty), ``unknown_type``, ``wrong_length``.
    """
    if not message:
        raise WireError("truncated", "itch.message", 0, "at least a type")
    layout = LAYOUTS.get(message[0])
    if layout is None:
        raise WireError("unknown_type", "itch.type", chr(message[0]), "a message type of ITCH 5.0")
    if len(message) != layout.size:
        raise WireError("wrong_length", f"itch.{layout.cls.__name__}", len(message), f"{layout.size} bytes")
    found: ItchMessage = layout.cls(*layout.unpack(message))  # type: ignore[assignment]
    return found


def encode(message: ItchMessage) -> bytes:
    """The bytes of `message` (without a length). Raises WireError ``out_of_range`` when a value does not fit."""
    return _BY_CLASS[type(message)].pack(message)
