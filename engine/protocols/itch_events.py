"""ITCH 5.0 message blocks to events, compiled: no Python object and no string is made a message.

A block is what a MoldUDP64 packet or a BinaryFILE holds: 2-byte big-endian length and message, repeated. Stock
Directory messages (section 1.2.1) map the day's stock locates to the engine's instruments, so that all others are found
by an array index; Start of Messages (section 1.1, event O) forgets the map of the day before.
"""

import numpy as np

from engine.core.bits import nonnegative
from engine.core.compiled import njit
from engine.core.events import Flag, Kind, Session, TradingStatus
from engine.protocols.feed import UNMAPPED
from engine.protocols.itch import LENGTHS
from engine.protocols.unaligned import load_u16, load_u32, load_u64

_LENGTH = np.zeros(256, np.uint8)
for _code, _size in LENGTHS.items():
    _LENGTH[_code] = _size

# A numba kernel folds plain integers into the code.
ADD, EXECUTE, REDUCE, DELETE = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.REDUCE), int(Kind.DELETE)
REPLACE, TRADE, STATUS, SESSION = int(Kind.REPLACE), int(Kind.TRADE), int(Kind.STATUS), int(Kind.SESSION)
NON_PRINTABLE, CROSS, OPERATIONAL = int(Flag.NON_PRINTABLE), int(Flag.CROSS), int(Flag.OPERATIONAL)
SHORT_SALE = int(Flag.SHORT_SALE)
HALTED, PAUSED = int(TradingStatus.HALTED), int(TradingStatus.PAUSED)
QUOTATION_ONLY, TRADING = int(TradingStatus.QUOTATION_ONLY), int(TradingStatus.TRADING)
START_OF_MESSAGES = int(Session.START_OF_MESSAGES)

_PHASE = np.zeros(256, np.int8)
for _letter, _phase in zip("OSQMEC", Session, strict=True):
    _PHASE[ord(_letter)] = int(_phase)
_STATE = np.full(256, -1, np.int8)
for _letter, _state in zip("HPQT", (HALTED, PAUSED, QUOTATION_ONLY, TRADING), strict=True):
    _STATE[ord(_letter)] = _state
_SIDE = np.zeros(256, np.int8)
_SIDE[ord("B")], _SIDE[ord("S")] = 1, -1

H, Q, R, S, Y, LOWER_H, N_BYTE, ZERO = (ord(letter) for letter in "HQRSYhN0")

# Offsets from the type byte; tests/unit/protocols compares them with the layout table.
LOCATE, TIMESTAMP, REFERENCE = 1, 5, 11
SIDE, SHARES, PRICE = 19, 20, 32

# What orders and trades are made of, a row a type, so that one path without branches decodes them all: length and
# kind of event, then offsets; an absent field is read at offset 0 and masked away (columns HAS_*: 0 or -1).
LENGTH, KIND, ID_AT, QTY_AT, PRICE_AT, REF_AT, SIDE_AT, PRINTABLE_AT, HAS_ID, HAS_QTY, HAS_PRICE, HAS_REF = range(12)
_ROW = np.zeros((256, 16), np.int32)
for _letter, _kind, _fields in (
    ("A", ADD, {ID_AT: REFERENCE, SIDE_AT: SIDE, QTY_AT: SHARES, PRICE_AT: PRICE}),
    ("F", ADD, {ID_AT: REFERENCE, SIDE_AT: SIDE, QTY_AT: SHARES, PRICE_AT: PRICE}),
    ("E", EXECUTE, {ID_AT: REFERENCE, QTY_AT: 19, REF_AT: 23}),
    ("C", EXECUTE, {ID_AT: REFERENCE, QTY_AT: 19, REF_AT: 23, PRINTABLE_AT: 31, PRICE_AT: 32}),
    ("X", REDUCE, {ID_AT: REFERENCE, QTY_AT: 19}),
    ("D", DELETE, {ID_AT: REFERENCE}),
    ("U", REPLACE, {REF_AT: REFERENCE, ID_AT: 19, QTY_AT: 27, PRICE_AT: 31}),
    ("P", TRADE, {SIDE_AT: SIDE, QTY_AT: SHARES, PRICE_AT: PRICE, REF_AT: 36}),
):
    _row = _ROW[ord(_letter)]
    _row[LENGTH], _row[KIND] = LENGTHS[ord(_letter)], _kind
    for _column, _offset in _fields.items():
        _row[_column] = _offset
    for _column, _has in ((ID_AT, HAS_ID), (QTY_AT, HAS_QTY), (PRICE_AT, HAS_PRICE), (REF_AT, HAS_REF)):
        _row[_has] = -1 if _column in _fields else 0


@njit(cache=True, inline="always")
def _begin(event, feed, payload, at, instrument, kind):
    """Writes every byte of the header and zeroes what the payload may leave."""
    event.ts_event = feed.midnight + (load_u16(payload, at + TIMESTAMP) << 32 | load_u32(payload, at + TIMESTAMP + 2))
    event.ts_recv = feed.ts_recv
    event.instrument = instrument
    event.kind = kind
    event.side = 0
    event.venue = feed.venue
    event.flags = 0
    event.order_id = 0
    event.price = 0
    event.qty = 0
    event.ref = 0
    event.strategy = 0


@njit(cache=True)
def _map_locate(feed, payload, at, locate_map, symbols):
    """Stock Directory: the instrument with this symbol, or none of ours.

    Locates do not change within a day (section 1.2.1): a message that says otherwise is counted and changes nothing.
    """
    key = load_u64(payload, at + REFERENCE)
    found = UNMAPPED
    for instrument in range(symbols.shape[0]):
        if symbols[instrument] == key:
            found = instrument
            break
    locate = load_u16(payload, at + LOCATE)
    if locate_map[locate] == found:
        feed.no_event += 1
        return
    taken = locate_map[locate] != UNMAPPED
    for other in range(feed.highest + 1):
        taken = taken or locate_map[other] == found
    if taken:
        feed.remapped += 1
        return
    locate_map[locate] = found
    feed.highest = max(feed.highest, locate)
    feed.no_event += 1


@njit(cache=True)
def _session(event, feed, payload, at, locate_map):
    code = _PHASE[payload[at + REFERENCE]]
    if code == 0:
        feed.bad_field += 1
        return 0
    if code == START_OF_MESSAGES:
        locate_map[:] = UNMAPPED
        feed.highest = -1
    feed.session = max(feed.session, code)
    _begin(event, feed, payload, at, -1, SESSION)
    event.code = code
    event.date = feed.date
    return 1


@njit(cache=True)
def _status(event, feed, payload, at, instrument, operational):
    """Trading Action (1.2.2) and Operational Halt (1.2.8, where only the Nasdaq market's own counts)."""
    if operational and payload[at + 19] != Q:
        feed.no_event += 1
        return 0
    code = _STATE[payload[at + (20 if operational else 19)]]
    if code < 0:
        feed.bad_field += 1
        return 0
    _begin(event, feed, payload, at, instrument, STATUS)
    event.code = code
    event.flags = OPERATIONAL if operational else 0
    return 1


@njit(cache=True)
def _short_sale(event, feed, payload, at, instrument):
    """Reg SHO Short Sale Price Test Restricted Indicator (1.2.3): the actions 0, 1 and 2 are ShortSale's numbers."""
    code = payload[at + 19] - ZERO
    if not 0 <= code <= 2:
        feed.bad_field += 1
        return 0
    _begin(event, feed, payload, at, instrument, STATUS)
    event.code = code
    event.flags = SHORT_SALE
    return 1


@njit(cache=True)
def _cross(event, feed, payload, at, instrument):
    """Cross Trade (1.5.2); a cross without shares is no trade."""
    shares = load_u64(payload, at + REFERENCE)
    if shares == 0:
        feed.no_event += 1
        return 0
    _begin(event, feed, payload, at, instrument, TRADE)
    event.flags = CROSS
    event.qty = shares
    event.price = load_u32(payload, at + 27)
    event.ref = load_u64(payload, at + 31)
    return 1


@njit(cache=True)
def _decode_other(event, feed, payload, at, locate_map, symbols):
    """Decodes a message that is neither of an order nor a trade, of the right length; 1 when it made an event."""
    kind = payload[at]
    if kind == S:
        return _session(event, feed, payload, at, locate_map)
    if kind == R:
        _map_locate(feed, payload, at, locate_map, symbols)
        return 0
    instrument = locate_map[load_u16(payload, at + LOCATE)]
    if instrument < 0:
        feed.unsubscribed += 1
        return 0
    if kind == Q:
        return _cross(event, feed, payload, at, instrument)
    if kind == H:
        return _status(event, feed, payload, at, instrument, False)
    if kind == LOWER_H:
        return _status(event, feed, payload, at, instrument, True)
    if kind == Y:
        return _short_sale(event, feed, payload, at, instrument)
    feed.no_event += 1
    return 0


@njit(cache=True)
def _decode_unusual(event, feed, payload, at, size, locate_map, symbols):
    """Any message that the table does not know by its type and length; 1 when it made an event."""
    if size == 0:
        feed.wrong_length += 1
    elif _LENGTH[payload[at]] == 0:
        feed.unknown_type += 1
    elif _LENGTH[payload[at]] != size:
        feed.wrong_length += 1
    else:
        return _decode_other(event, feed, payload, at, locate_map, symbols)
    return 0


@njit(cache=True, forceinline=True)
def _decode_order(event, midnight, ts_recv, venue, payload, at, instrument, row):
    """An order's message or a trade, by its row of the table; whether its side is good, where it has one."""
    side = _SIDE[payload[nonnegative(at + row[SIDE_AT])]]
    event.ts_event = midnight + (load_u64(payload, at + TIMESTAMP - 2) & 0xFFFF_FFFF_FFFF)
    event.ts_recv = ts_recv
    event.instrument = instrument
    event.kind = row[KIND]
    event.side = side
    event.venue = venue
    event.flags = NON_PRINTABLE if payload[nonnegative(at + row[PRINTABLE_AT])] == N_BYTE else 0
    event.order_id = load_u64(payload, at + row[ID_AT]) & row[HAS_ID]
    event.price = load_u32(payload, at + row[PRICE_AT]) & row[HAS_PRICE]
    event.qty = load_u32(payload, at + row[QTY_AT]) & row[HAS_QTY]
    event.ref = load_u64(payload, at + row[REF_AT]) & row[HAS_REF]
    event.strategy = 0
    return side != 0 or row[SIDE_AT] == 0


@njit(cache=True, nogil=True)
def decode_whole(payload, start, stop, feed, locate_map, symbols, out):
    """`decode_block`, but for a message that the block cuts off: decoding stops before it and counts nothing."""
    count = messages = unsubscribed = 0
    position = start
    midnight, ts_recv, venue = feed.midnight, feed.ts_recv, feed.venue
    while position + 2 <= stop and count < out.shape[0]:
        size = load_u16(payload, position)
        at = position + 2
        if at + size > stop:
            break
        position = at + size
        messages += 1
        row = _ROW[payload[nonnegative(at)] if size else np.uint8(0)]
        if row[LENGTH] != size or size == 0:
            count += _decode_unusual(out[count], feed, payload, at, size, locate_map, symbols)
            continue
        instrument = locate_map[nonnegative(load_u16(payload, at + LOCATE))]
        if instrument < 0:
            unsubscribed += 1
        elif _decode_order(out[nonnegative(count)], midnight, ts_recv, venue, payload, at, instrument, row):
            count += 1
        else:
            feed.bad_field += 1
    feed.messages += messages
    feed.unsubscribed += unsubscribed
    feed.events += count
    feed.position = position
    return count


@njit(cache=True, nogil=True)
def decode_block(payload, start, stop, feed, locate_map, symbols, out):
    """Decodes the messages in ``payload[start:stop]`` into `out`; returns the number of events.

    Args:
        payload: uint8 (n,), contiguous.
        feed: a FEED record; its counters go up by reason, and its ``position`` is where decoding stopped: `stop`, or
            the next message's length when `out` is full (call again from there).
        locate_map: int32 (65536,), filled from Stock Directory messages.
        symbols: int64 (n,), `symbol_keys` of the instruments that are wanted.
        out: EVENT (m,), of which the first events are overwritten wholly.

    Bad messages are counted (``unknown_type``, ``wrong_length``, ``bad_field``, ``remapped``) and skipped; a block that
    ends inside a message is counted as ``truncated``.
    """
    count = decode_whole(payload, start, stop, feed, locate_map, symbols, out)
    if count < out.shape[0] and feed.position < stop:
        feed.truncated += 1
        feed.position = stop
    return count
