"""OUCH 5.0 and events, compiled: orders, replaces and cancels to bytes, the exchange's messages to order reports.

An order's id is its UserRefNum (section 1.2: unique and strictly increasing). Messages are those inside SoupBinTCP
packets, without framing.
"""

import numpy as np

from engine.core.compiled import njit
from engine.core.events import PEGGED, POST_ONLY, Kind, TimeInForce
from engine.core.limit_names import MARK_SHIFT
from engine.protocols.feed import UNMAPPED
from engine.protocols.ouch import OUTBOUND_LAYOUTS, Accepted, AiqCanceled, BrokenTrade, Executed, Rejected, Replaced
from engine.protocols.unaligned import load_u16, load_u32, load_u64, store_u16, store_u32, store_u64

ENTER_BYTES = 47  # Enter Order with an empty appendage
REPLACE_BYTES = 40  # Replace Order, likewise
CANCEL_BYTES = 9
MASS_CANCEL_BYTES = 19  # likewise
OPTION_BYTES = 3  # a TagValue option of one letter: its length, its tag (Appendix A), the letter
MAX_ORDER_BYTES = ENTER_BYTES + OPTION_BYTES
PRICE_TYPE, POST_ONLY_OPTION, MIDPOINT_PEG = 6, 12, ord("M")

ORDER_NEW, ORDER_CANCEL, ORDER_REPLACE = int(Kind.ORDER_NEW), int(Kind.ORDER_CANCEL), int(Kind.ORDER_REPLACE)
ACCEPTED, EXECUTION, CANCELED = int(Kind.ACCEPTED), int(Kind.EXECUTION), int(Kind.CANCELED)
MASS_CANCEL = int(Kind.MASS_CANCEL)
REJECTED, ORDER_SESSION = int(Kind.REJECTED), int(Kind.ORDER_SESSION)
REPLACED, CANCEL_REJECTED, BUST = int(Kind.REPLACED), int(Kind.CANCEL_REJECTED), int(Kind.BUST)
IOC = int(TimeInForce.IOC)
TIME_IN_FORCE = (1 << MARK_SHIFT) - 1

A, B, C, D, E, J, N, P, Q, S, U, X, Y, SPACE = (ord(letter) for letter in "ABCDEJNPQSUXY ")
CANCEL_REJECT = ord("I")
ENTER_ORDER = ord("O")
TIF_DAY, TIF_IOC = ord("0"), ord("3")
QUERY_ANSWER = Q  # Account Query Response
FIRM_LETTERS = 4
EVERY_SYMBOL = int.from_bytes(b" " * 8, "big")

_MINIMUM = np.zeros(256, np.int64)
for _code, _layout in OUTBOUND_LAYOUTS.items():
    _MINIMUM[_code] = _layout.size
_SIDE = np.zeros(256, np.int8)
_SIDE[ord("B")] = 1
for _letter in "STE":
    _SIDE[ord(_letter)] = -1

_SALE = np.array([ord(letter) for letter in "STES"], np.uint8)  # by Mark: long, short, short exempt

TIMESTAMP, USER_REF_NUM = 1, 9  # the same in every outbound message but the System Event


def _at(letter: str, field: str) -> int:
    return OUTBOUND_LAYOUTS[ord(letter)].offset(field)


ACCEPTED_SIDE, ACCEPTED_QTY, ACCEPTED_SYMBOL, ACCEPTED_PRICE, ACCEPTED_REFERENCE = (
    _at(Accepted.TYPE, name) for name in ("side", "quantity", "symbol", "price", "order_reference_number")
)
EXECUTED_QTY, EXECUTED_PRICE, EXECUTED_FLAG, EXECUTED_MATCH = (
    _at(Executed.TYPE, name) for name in ("quantity", "price", "liquidity_flag", "match_number")
)
CANCELED_QTY, CANCELED_REASON = _at(AiqCanceled.TYPE, "decrement_shares"), _at(AiqCanceled.TYPE, "reason")  # as in C
REPLACED_ORIGIN, REPLACED_ID, REPLACED_SIDE, REPLACED_QTY, REPLACED_SYMBOL, REPLACED_PRICE = (
    _at(Replaced.TYPE, name) for name in ("orig_user_ref_num", "user_ref_num", "side", "quantity", "symbol", "price")
)
BROKEN_MATCH = _at(BrokenTrade.TYPE, "match_number")
REJECTED_REASON = _at(Rejected.TYPE, "reason")


@njit(cache=True, nogil=True)
def encode_order(events, index, symbols, firm, out, position):
    """Writes the OUCH message of the event ``events[index]`` to ``out[position:]``; returns its size in bytes.

    Args:
        events: EVENT (k,); ORDER_NEW, ORDER_REPLACE, ORDER_CANCEL and MASS_CANCEL have messages.
        symbols: int64 (n,), `symbol_keys` by instrument.
        firm: `firm_key`, which a mass cancel names.
        out: uint8 (m,) with room for MAX_ORDER_BYTES.

    Returns 0 for another kind, an instrument that is not in `symbols`, or a value that OUCH cannot hold: the caller
    must treat such an order as not sent.
    """
    event = events[index]
    if not 0 < event.order_id < 1 << 32:
        return 0
    if event.kind == ORDER_CANCEL:
        return _encode_cancel(event, out, position)
    if event.kind == MASS_CANCEL:
        return _encode_mass_cancel(event, symbols, firm, out, position)
    if not (0 < event.qty < 1_000_000 and event.price > 0):
        return 0
    if event.kind == ORDER_REPLACE:
        return _encode_replace(event, out, position)
    if event.kind != ORDER_NEW or not 0 <= event.instrument < symbols.shape[0] or event.side == 0:
        return 0
    out[position] = ENTER_ORDER
    store_u32(out, position + 1, event.order_id)
    out[position + 5] = B if event.side > 0 else _SALE[event.flags >> MARK_SHIFT & 3]
    store_u32(out, position + 6, event.qty)
    store_u64(out, position + 10, symbols[event.instrument])
    store_u64(out, position + 18, event.price)
    out[position + 26] = TIF_IOC if event.flags & TIME_IN_FORCE == IOC else TIF_DAY
    out[position + 27] = N if event.flags & PEGGED else Y  # visible
    out[position + 28] = P  # principal
    out[position + 29] = N  # no intermarket sweep
    out[position + 30] = N  # continuous market
    out[position + 31 : position + 45] = SPACE
    return ENTER_BYTES + _encode_option(event, out, position + ENTER_BYTES)


@njit(cache=True)
def _encode_option(event, out, end):
    """The appendage of an order whose fixed fields end at ``end`` with its length; the bytes behind ``end``."""
    if not event.flags & (PEGGED | POST_ONLY):
        store_u16(out, end - 2, 0)
        return 0
    store_u16(out, end - 2, OPTION_BYTES)
    out[end] = OPTION_BYTES - 1
    out[end + 1] = PRICE_TYPE if event.flags & PEGGED else POST_ONLY_OPTION
    out[end + 2] = MIDPOINT_PEG if event.flags & PEGGED else P
    return OPTION_BYTES


@njit(cache=True)
def _encode_replace(event, out, position):
    """Replace Order Request (2.2): ``qty`` counts what the chain has executed already."""
    if not 0 < event.ref < 1 << 32:
        return 0
    out[position] = U
    store_u32(out, position + 1, event.ref)
    store_u32(out, position + 5, event.order_id)
    store_u32(out, position + 9, event.qty)
    store_u64(out, position + 13, event.price)
    out[position + 21] = TIF_IOC if event.flags & TIME_IN_FORCE == IOC else TIF_DAY
    out[position + 22] = N if event.flags & PEGGED else Y  # visible
    out[position + 23] = N  # no intermarket sweep
    out[position + 24 : position + 38] = SPACE
    return REPLACE_BYTES + _encode_option(event, out, position + REPLACE_BYTES)


@njit(cache=True)
def _encode_cancel(event, out, position):
    """Cancel Order (2.3): ``qty`` is the order size that may remain, 0 for none."""
    if not 0 <= event.qty < 1_000_000:
        return 0
    out[position] = X
    store_u32(out, position + 1, event.order_id)
    store_u32(out, position + 5, event.qty)
    return CANCEL_BYTES


@njit(cache=True)
def _encode_mass_cancel(event, symbols, firm, out, position):
    """Mass Cancel Request (2.5), of one symbol or, without an instrument, of all."""
    if event.instrument >= symbols.shape[0]:
        return 0
    out[position] = C
    store_u32(out, position + 1, event.order_id)
    store_u32(out, position + 5, firm)
    store_u64(out, position + 9, symbols[event.instrument] if event.instrument >= 0 else EVERY_SYMBOL)
    store_u16(out, position + 17, 0)
    return MASS_CANCEL_BYTES


def firm_key(username: str) -> int:
    """The firm of an account, the first four characters of its name, as `encode_order` takes it."""
    return int.from_bytes(username.encode("ascii")[:FIRM_LETTERS].ljust(FIRM_LETTERS), "big")


@njit(cache=True)
def _begin(event, feed, message, at, kind):
    event.ts_event = feed.midnight + load_u64(message, at + TIMESTAMP)
    event.ts_recv = feed.ts_recv
    event.instrument = UNMAPPED
    event.kind = kind
    event.side = 0
    event.venue = feed.venue
    event.flags = 0
    event.order_id = load_u32(message, at + USER_REF_NUM)
    event.price = 0
    event.qty = 0
    event.ref = 0
    event.strategy = 0


@njit(cache=True)
def _instrument_of(key, symbols):
    for instrument in range(symbols.shape[0]):
        if symbols[instrument] == key:
            return instrument
    return UNMAPPED


@njit(cache=True)
def _accepted(event, feed, message, at, symbols):
    _begin(event, feed, message, at, ACCEPTED)
    event.instrument = _instrument_of(load_u64(message, at + ACCEPTED_SYMBOL), symbols)
    event.side = _SIDE[message[at + ACCEPTED_SIDE]]
    event.price = load_u64(message, at + ACCEPTED_PRICE)
    event.qty = load_u32(message, at + ACCEPTED_QTY)
    event.ref = load_u64(message, at + ACCEPTED_REFERENCE)


@njit(cache=True)
def _replaced(event, feed, message, at, symbols):
    """``ref`` is the order that it replaces, not the exchange's number for it."""
    _begin(event, feed, message, at, REPLACED)
    event.order_id = load_u32(message, at + REPLACED_ID)
    event.instrument = _instrument_of(load_u64(message, at + REPLACED_SYMBOL), symbols)
    event.side = _SIDE[message[at + REPLACED_SIDE]]
    event.price = load_u64(message, at + REPLACED_PRICE)
    event.qty = load_u32(message, at + REPLACED_QTY)
    event.ref = load_u32(message, at + REPLACED_ORIGIN)


@njit(cache=True)
def _executed(event, feed, message, at):
    _begin(event, feed, message, at, EXECUTION)
    event.flags = message[at + EXECUTED_FLAG] & 0x7F
    event.price = load_u64(message, at + EXECUTED_PRICE)
    event.qty = load_u32(message, at + EXECUTED_QTY)
    event.ref = load_u64(message, at + EXECUTED_MATCH)


@njit(cache=True, nogil=True)
def decode_report(message, start, stop, feed, symbols, out, index):
    """Decodes the exchange's message in ``message[start:stop]`` into ``out[index]``; 1 when it made an event, else 0.

    Accepted, Executed, Canceled (also by self match prevention), Rejected, Replaced, Cancel Reject, Broken Trade and
    Account Query Response make ACCEPTED, EXECUTION (``flags`` is the liquidity flag's letter), CANCELED, REJECTED,
    REPLACED, CANCEL_REJECTED, BUST and ORDER_SESSION (code 1, ref = next UserRefNum). Only ACCEPTED and REPLACED name
    an instrument; it is -1 on the others. `feed` is a FEED record whose counters
    say what became of the rest: ``no_event``, ``unknown_type``, ``wrong_length``.
    """
    feed.messages += 1
    size = stop - start
    if size < 1:
        feed.wrong_length += 1
        return 0
    event = out[index]
    kind = message[start]
    if _MINIMUM[kind] == 0:
        feed.unknown_type += 1
        return 0
    if size < _MINIMUM[kind]:
        feed.wrong_length += 1
        return 0
    if kind == A:
        _accepted(event, feed, message, start, symbols)
    elif kind == E:
        _executed(event, feed, message, start)
    elif kind in (C, D):
        _begin(event, feed, message, start, CANCELED)
        event.qty = load_u32(message, start + CANCELED_QTY)
        event.reason = message[start + CANCELED_REASON]
    elif kind == J:
        _begin(event, feed, message, start, REJECTED)
        event.reason = load_u16(message, start + REJECTED_REASON)
    elif kind == U:
        _replaced(event, feed, message, start, symbols)
    elif kind == CANCEL_REJECT:
        _begin(event, feed, message, start, CANCEL_REJECTED)
    elif kind == B:
        _begin(event, feed, message, start, BUST)
        event.ref = load_u64(message, start + BROKEN_MATCH)
    elif kind == Q:
        _begin(event, feed, message, start, ORDER_SESSION)
        event.ref = event.order_id  # the next UserRefNum stands where the others have theirs
        event.code = 1
    else:
        feed.no_event += 1
        return 0
    feed.events += 1
    return 1
