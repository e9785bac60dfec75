"""Nasdaq OUCH 5.0 (revision 1.05): messages to the exchange (section 2) and from it (section 3).

A message is a type letter, fixed fields, and for most an appendage: a 2-byte length and TagValue elements (section
1.2, options of Appendix A). Where the specification makes the appendage optional, None stands for its absence and ()
for one of length 0. Times are ns since midnight New York, prices integers in 1/10,000 in 8 bytes. Inbound and outbound
share letters, hence two decoders. OUCH rides in SoupBinTCP: unsequenced packets in, sequenced packets out.
"""

from typing import Any, ClassVar

from engine.protocols.layout import (
    U16,
    U32,
    U64,
    Alpha4,
    Alpha8,
    Alpha14,
    Char,
    Layout,
    LongPrice4,
    WireError,
    WireMessage,
)
from engine.protocols.ouch_options import Appendage, Option, decode_appendage, encode_appendage, option

__all__ = ["Appendage", "Option", "decode_inbound", "decode_outbound", "encode", "option"]

MAX_QUANTITY = 999_999


class OuchMessage(WireMessage, frozen=True):
    """``APPENDAGE``: "required" (its length always stands), "optional" or "none"."""

    APPENDAGE: ClassVar[str] = "none"


class _Required(OuchMessage, frozen=True, kw_only=True):
    APPENDAGE: ClassVar[str] = "required"
    appendage: Appendage = ()


class _Optional(OuchMessage, frozen=True, kw_only=True):
    APPENDAGE: ClassVar[str] = "optional"
    appendage: Appendage | None = None


# ---- inbound: client to exchange (section 2) --------------------------------------------------------


class EnterOrder(_Required, frozen=True):
    TYPE: ClassVar[str] = "O"
    SECTION: ClassVar[str] = "2.1"
    user_ref_num: U32  # unique in a day and strictly increasing
    side: Char  # B buy, S sell, T sell short, E sell short exempt
    quantity: U32  # 1 to 999,999
    symbol: Alpha8
    price: LongPrice4
    time_in_force: Char = "0"  # 0 day, 3 IOC, 5 extended hours, 6 good till time, E after hours
    display: Char = "Y"
    capacity: Char = "P"  # A agency, P principal, R riskless, O other
    intermarket_sweep: Char = "N"
    cross_type: Char = "N"  # N continuous market
    cl_ord_id: Alpha14 = ""


class ReplaceOrder(_Required, frozen=True):
    TYPE: ClassVar[str] = "U"
    SECTION: ClassVar[str] = "2.2"
    orig_user_ref_num: U32
    user_ref_num: U32
    quantity: U32
    price: LongPrice4
    time_in_force: Char = "0"
    display: Char = "Y"
    intermarket_sweep: Char = "N"
    cl_ord_id: Alpha14 = ""


class CancelOrder(_Optional, frozen=True):
    """``quantity`` is the new intended order size; 0 cancels what is left."""

    TYPE: ClassVar[str] = "X"
    SECTION: ClassVar[str] = "2.3"
    user_ref_num: U32
    quantity: U32 = 0


class ModifyOrder(_Optional, frozen=True):
    TYPE: ClassVar[str] = "M"
    SECTION: ClassVar[str] = "2.4"
    user_ref_num: U32
    side: Char
    quantity: U32


class MassCancel(_Required, frozen=True):
    TYPE: ClassVar[str] = "C"
    SECTION: ClassVar[str] = "2.5"
    user_ref_num: U32
    firm: Alpha4
    symbol: Alpha8 = ""


class DisableOrderEntry(_Required, frozen=True):
    TYPE: ClassVar[str] = "D"
    SECTION: ClassVar[str] = "2.6"
    user_ref_num: U32
    firm: Alpha4


class EnableOrderEntry(_Required, frozen=True):
    TYPE: ClassVar[str] = "E"
    SECTION: ClassVar[str] = "2.7"
    user_ref_num: U32
    firm: Alpha4


class AccountQuery(_Optional, frozen=True):
    TYPE: ClassVar[str] = "Q"
    SECTION: ClassVar[str] = "2.8"


# ---- outbound: exchange to client (section 3) -------------------------------------------------------


class SystemEvent(OuchMessage, frozen=True):
    TYPE: ClassVar[str] = "S"
    SECTION: ClassVar[str] = "3.1"
    timestamp: U64
    event_code: Char  # S start of day, E end of day


class Accepted(_Required, frozen=True):
    TYPE: ClassVar[str] = "A"
    SECTION: ClassVar[str] = "3.2"
    timestamp: U64
    user_ref_num: U32
    side: Char
    quantity: U32
    symbol: Alpha8
    price: LongPrice4
    time_in_force: Char
    display: Char
    order_reference_number: U64
    capacity: Char
    intermarket_sweep: Char
    cross_type: Char
    order_state: Char  # L live, D dead
    cl_ord_id: Alpha14 = ""


class Replaced(_Required, frozen=True):
    TYPE: ClassVar[str] = "U"
    SECTION: ClassVar[str] = "3.3"
    timestamp: U64
    orig_user_ref_num: U32
    user_ref_num: U32
    side: Char
    quantity: U32
    symbol: Alpha8
    price: LongPrice4
    time_in_force: Char
    display: Char
    order_reference_number: U64
    capacity: Char
    intermarket_sweep: Char
    cross_type: Char
    order_state: Char
    cl_ord_id: Alpha14 = ""


class Canceled(_Optional, frozen=True):
    """``quantity`` is the shares taken off now."""

    TYPE: ClassVar[str] = "C"
    SECTION: ClassVar[str] = "3.4"
    timestamp: U64
    user_ref_num: U32
    quantity: U32
    reason: Char  # Appendix B


class AiqCanceled(_Optional, frozen=True):
    TYPE: ClassVar[str] = "D"
    SECTION: ClassVar[str] = "3.5"
    timestamp: U64
    user_ref_num: U32
    decrement_shares: U32
    reason: Char
    quantity_prevented: U32
    execution_price: LongPrice4
    liquidity_flag: Char
    aiq_strategy: Char


class Executed(_Required, frozen=True):
    TYPE: ClassVar[str] = "E"
    SECTION: ClassVar[str] = "3.6"
    timestamp: U64
    user_ref_num: U32
    quantity: U32
    price: LongPrice4
    liquidity_flag: Char  # A added, R removed, ... (Appendix D)
    match_number: U64


class BrokenTrade(_Optional, frozen=True):
    TYPE: ClassVar[str] = "B"
    SECTION: ClassVar[str] = "3.7"
    timestamp: U64
    user_ref_num: U32
    match_number: U64
    reason: Char
    cl_ord_id: Alpha14 = ""


class Rejected(_Optional, frozen=True):
    TYPE: ClassVar[str] = "J"
    SECTION: ClassVar[str] = "3.8"
    timestamp: U64
    user_ref_num: U32
    reason: U16  # Appendix C
    cl_ord_id: Alpha14 = ""


class CancelPending(_Optional, frozen=True):
    TYPE: ClassVar[str] = "P"
    SECTION: ClassVar[str] = "3.9"
    timestamp: U64
    user_ref_num: U32


class CancelReject(_Optional, frozen=True):
    TYPE: ClassVar[str] = "I"
    SECTION: ClassVar[str] = "3.10"
    timestamp: U64
    user_ref_num: U32


class PriorityUpdate(_Optional, frozen=True):
    TYPE: ClassVar[str] = "T"
    SECTION: ClassVar[str] = "3.11"
    timestamp: U64
    user_ref_num: U32
    price: LongPrice4
    display: Char
    order_reference_number: U64


class Modified(_Optional, frozen=True):
    TYPE: ClassVar[str] = "M"
    SECTION: ClassVar[str] = "3.12"
    timestamp: U64
    user_ref_num: U32
    side: Char
    quantity: U32


class Restated(_Required, frozen=True):
    TYPE: ClassVar[str] = "R"
    SECTION: ClassVar[str] = "3.13"
    timestamp: U64
    user_ref_num: U32
    reason: Char  # R refresh of display, P update of displayed price


class MassCancelResponse(_Required, frozen=True):
    TYPE: ClassVar[str] = "X"
    SECTION: ClassVar[str] = "3.14"
    timestamp: U64
    user_ref_num: U32
    firm: Alpha4
    symbol: Alpha8 = ""


class DisableOrderEntryResponse(_Required, frozen=True):
    TYPE: ClassVar[str] = "G"
    SECTION: ClassVar[str] = "3.15"
    timestamp: U64
    user_ref_num: U32
    firm: Alpha4


class EnableOrderEntryResponse(_Required, frozen=True):
    TYPE: ClassVar[str] = "K"
    SECTION: ClassVar[str] = "3.16"
    timestamp: U64
    user_ref_num: U32
    firm: Alpha4


class AccountQueryResponse(_Optional, frozen=True):
    TYPE: ClassVar[str] = "Q"
    SECTION: ClassVar[str] = "3.17"
    timestamp: U64
    next_user_ref_num: U32


INBOUND: tuple[type[OuchMessage], ...] = (
    EnterOrder,
    ReplaceOrder,
    CancelOrder,
    ModifyOrder,
    MassCancel,
    DisableOrderEntry,
    EnableOrderEntry,
    AccountQuery,
)
OUTBOUND: tuple[type[OuchMessage], ...] = (
    SystemEvent,
    Accepted,
    Replaced,
    Canceled,
    AiqCanceled,
    Executed,
    BrokenTrade,
    Rejected,
    CancelPending,
    CancelReject,
    PriorityUpdate,
    Modified,
    Restated,
    MassCancelResponse,
    DisableOrderEntryResponse,
    EnableOrderEntryResponse,
    AccountQueryResponse,
)
INBOUND_LAYOUTS = {ord(cls.TYPE): Layout("ouch", cls) for cls in INBOUND}
OUTBOUND_LAYOUTS = {ord(cls.TYPE): Layout("ouch", cls) for cls in OUTBOUND}
_BY_CLASS = {layout.cls: layout for layout in (*INBOUND_LAYOUTS.values(), *OUTBOUND_LAYOUTS.values())}


def decode_inbound(message: bytes) -> OuchMessage:
    """A message to the exchange. Raises WireError: ``truncated``, ``unknown_type``, ``wrong_length``, ``bad_field``."""
    return _decode(INBOUND_LAYOUTS, "inbound", message)


def decode_outbound(message: bytes) -> OuchMessage:
    """A message from the exchange. Raises WireError like `decode_inbound`."""
    return _decode(OUTBOUND_LAYOUTS, "outbound", message)


def encode(message: OuchMessage) -> bytes:
    """The bytes of `message`. Raises WireError ``out_of_range`` when a value does not fit."""
    fixed = _BY_CLASS[type(message)].pack(message)
    appendage: Appendage | None = getattr(message, "appendage", None)
    if appendage is None:
        return fixed
    return fixed + encode_appendage(appendage)


def _decode(layouts: dict[int, Layout], direction: str, message: bytes) -> OuchMessage:
    if not message:
        raise WireError("truncated", f"ouch.{direction}", 0, "at least a type")
    layout = layouts.get(message[0])
    if layout is None:
        raise WireError("unknown_type", f"ouch.{direction}", chr(message[0]), f"an {direction} type of OUCH 5.0")
    if len(message) < layout.size:
        raise WireError("wrong_length", f"ouch.{layout.cls.__name__}", len(message), f"at least {layout.size} bytes")
    cls: Any = layout.cls
    values = layout.unpack(message)
    if cls.APPENDAGE == "none":
        if len(message) != layout.size:
            raise WireError("wrong_length", f"ouch.{cls.__name__}", len(message), f"{layout.size} bytes")
        return cls(*values)  # type: ignore[no-any-return]
    if len(message) == layout.size and cls.APPENDAGE == "optional":
        return cls(*values)  # type: ignore[no-any-return]
    appendage = decode_appendage(f"ouch.{cls.__name__}.appendage", message[layout.size :])
    return cls(*values, appendage=appendage)  # type: ignore[no-any-return]
