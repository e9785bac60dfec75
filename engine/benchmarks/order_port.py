"""The least venue that benchmarks need, compiled: it accepts every order and executes it whole at its own price.

Bytes in, bytes out: OUCH 5.0 in SoupBinTCP as the exchange speaks it. Every order is done at once, so that cancels find
nothing and are not answered.
"""

import numpy as np

from engine.core.compiled import njit
from engine.protocols.ouch import OUTBOUND_LAYOUTS, Accepted, Executed
from engine.protocols.unaligned import load_u16, load_u32, load_u64, store_u16, store_u32, store_u64

ENTER_ORDER, UNSEQUENCED, SEQUENCED = ord("O"), ord("U"), ord("S")
FRAME_BYTES = 3
ACCEPTED, EXECUTED = (OUTBOUND_LAYOUTS[ord(each.TYPE)] for each in (Accepted, Executed))
ACCEPTED_BYTES, EXECUTED_BYTES = ACCEPTED.size, EXECUTED.size
A_ID, A_SIDE, A_QTY, A_SYMBOL, A_PRICE, A_REFERENCE = (
    ACCEPTED.offset(name) for name in ("user_ref_num", "side", "quantity", "symbol", "price", "order_reference_number")
)
E_ID, E_QTY, E_PRICE, E_FLAG, E_MATCH = (
    EXECUTED.offset(name) for name in ("user_ref_num", "quantity", "price", "liquidity_flag", "match_number")
)
A, E, R = ord("A"), ord("E"), ord("R")

# ``orders`` entered and executed so far, and bytes of packets of other kinds (heartbeats, cancels). While it is
# ``silent``, packets are kept (`keep`): from ``kept_from`` to ``kept``. The last two are the caller's: what it was at.
PORT = np.dtype([(name, "<i8") for name in ("orders", "others", "silent", "kept_from", "kept", "begun", "answering")])


@njit(cache=True, nogil=True)
def answer(port, content, start, stop, out, at):
    """Answers the whole packets in ``content[start:stop]`` into ``out[at:]``; (end of the answers, bytes left over).

    ``port`` is a PORT record, ``content`` and ``out`` uint8.
    """
    while stop - start >= 2:
        end = start + 2 + load_u16(content, start)
        if end > stop:
            break
        message = start + FRAME_BYTES
        if content[start + 2] == UNSEQUENCED and content[message] == ENTER_ORDER:
            port.orders += 1
            at = _accept(content, message, out, at, port.orders)
            at = _execute(content, message, out, at, port.orders)
        else:
            port.others += end - start
        start = end
    return at, stop - start


@njit(cache=True, nogil=True)
def keep(port, kept, content, start, stop):
    """Lets ``content[start:stop]`` wait in ``kept`` (uint8), as far as there is room."""
    for index in range(start, min(stop, start + len(kept) - port.kept)):
        kept[port.kept] = content[index]
        port.kept += 1


@njit(cache=True, nogil=True)
def next_kept(port, kept, out):
    """Puts the next packet that was kept into ``out``; its bytes."""
    size = 2 + load_u16(kept, port.kept_from)
    for index in range(size):
        out[index] = kept[port.kept_from + index]
    port.kept_from += size
    return size


@njit(cache=True, nogil=True)
def _begin(out, at, size, letter):
    store_u16(out, at, size + 1)
    out[at + 2] = SEQUENCED
    for index in range(at + FRAME_BYTES, at + FRAME_BYTES + size):
        out[index] = 0
    out[at + FRAME_BYTES] = letter
    return at + FRAME_BYTES


@njit(cache=True, nogil=True)
def _accept(content, order, out, at, number):
    report = _begin(out, at, ACCEPTED_BYTES, A)
    store_u32(out, report + A_ID, load_u32(content, order + 1))
    out[report + A_SIDE] = content[order + 5]
    store_u32(out, report + A_QTY, load_u32(content, order + 6))
    store_u64(out, report + A_SYMBOL, load_u64(content, order + 10))
    store_u64(out, report + A_PRICE, load_u64(content, order + 18))
    store_u64(out, report + A_REFERENCE, number)
    return report + ACCEPTED_BYTES


@njit(cache=True, nogil=True)
def _execute(content, order, out, at, match):
    report = _begin(out, at, EXECUTED_BYTES, E)
    store_u32(out, report + E_ID, load_u32(content, order + 1))
    store_u32(out, report + E_QTY, load_u32(content, order + 6))
    store_u64(out, report + E_PRICE, load_u64(content, order + 18))
    out[report + E_FLAG] = R
    store_u64(out, report + E_MATCH, match)
    return report + EXECUTED_BYTES
