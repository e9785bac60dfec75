"""ITCH 5.0 message blocks to events, compiled: no Python object and no string is made a message.

A block is what a MoldUDP64 packet or a BinaryFILE holds: 2-byte big-endian length and message, repeated. Stock
Directory messages (section 1.2.1) map the day's stock locates to the engine's instruments, so that all others are found
by an array index; Start of Messages (section 1.1, event O) forgets the map of the day before.
"""

import numpy as np
from numba import njit

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

A, C, D, E, F, H, P, Q, R, S, U, X, LOWER_H, N_BYTE = (ord(letter) for letter in "ACDEFHPQRSUXhN")

# Offsets from the type byte; tests/unit/protocols compares them with the layout table.
LOCATE, TIMESTAMP, REFERENCE = 1, 5, 11
SIDE, SHARES, SYMBOL, PRICE = 19, 20, 24, 32


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
def _trade(event, feed, payload, at, instrument):
    """Trade (1.5.1)."""
    side = _SIDE[payload[at + SIDE]]
    if side == 0:
        feed.bad_field += 1
        return 0
    _begin(event, feed, payload, at, instrument, TRADE)
    event.side = side
    event.qty = load_u32(payload, at + SHARES)
    event.price = load_u32(payload, at + PRICE)
    event.ref = load_u64(payload, at + 36)
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


@njit(cache=True, inline="always")
def _add(event, feed, payload, at, instrument):
    side = _SIDE[payload[at + SIDE]]
    if side == 0:
        feed.bad_field += 1
        return 0
    _begin(event, feed, payload, at, instrument, ADD)
    event.side = side
    event.order_id = load_u64(payload, at + REFERENCE)
    event.price = load_u32(payload, at + PRICE)
    event.qty = load_u32(payload, at + SHARES)
    return 1


@njit(cache=True, inline="always")
def _execute(event, feed, payload, at, instrument, with_price):
    _begin(event, feed, payload, at, instrument, EXECUTE)
    event.order_id = load_u64(payload, at + REFERENCE)
    event.qty = load_u32(payload, at + 19)
    event.ref = load_u64(payload, at + 23)
    if with_price:
        event.price = load_u32(payload, at + 32)
        event.flags = NON_PRINTABLE if payload[at + 31] == N_BYTE else 0
    return 1


@njit(cache=True, inline="always")
def _replace(event, feed, payload, at, instrument):
    _begin(event, feed, payload, at, instrument, REPLACE)
    event.ref = load_u64(payload, at + REFERENCE)
    event.order_id = load_u64(payload, at + 19)
    event.qty = load_u32(payload, at + 27)
    event.price = load_u32(payload, at + 31)
    return 1


@njit(cache=True)
def _decode_message(event, feed, payload, at, locate_map, symbols):
    """Decodes the message at `at`, whose length is right, into `event`; 1 when it made one."""
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
    if kind in (A, F):
        return _add(event, feed, payload, at, instrument)
    if kind == D:
        _begin(event, feed, payload, at, instrument, DELETE)
        event.order_id = load_u64(payload, at + REFERENCE)
        return 1
    if kind == U:
        return _replace(event, feed, payload, at, instrument)
    if kind in (E, C):
        return _execute(event, feed, payload, at, instrument, kind == C)
    if kind == X:
        _begin(event, feed, payload, at, instrument, REDUCE)
        event.order_id = load_u64(payload, at + REFERENCE)
        event.qty = load_u32(payload, at + 19)
        return 1
    return _decode_rare(event, feed, payload, at, instrument)


@njit(cache=True)
def _decode_rare(event, feed, payload, at, instrument):
    kind = payload[at]
    if kind == P:
        return _trade(event, feed, payload, at, instrument)
    if kind == Q:
        return _cross(event, feed, payload, at, instrument)
    if kind == H:
        return _status(event, feed, payload, at, instrument, False)
    if kind == LOWER_H:
        return _status(event, feed, payload, at, instrument, True)
    feed.no_event += 1
    return 0


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
    count = 0
    position = start
    while position < stop and count < out.shape[0]:
        if position + 2 > stop:
            feed.truncated += 1
            position = stop
            break
        size = load_u16(payload, position)
        at = position + 2
        if at + size > stop:
            feed.truncated += 1
            position = stop
            break
        position = at + size
        feed.messages += 1
        if size == 0:
            feed.wrong_length += 1
        elif _LENGTH[payload[at]] == 0:
            feed.unknown_type += 1
        elif _LENGTH[payload[at]] != size:
            feed.wrong_length += 1
        else:
            count += _decode_message(out[count], feed, payload, at, locate_map, symbols)
    feed.events += count
    feed.position = position
    return count
