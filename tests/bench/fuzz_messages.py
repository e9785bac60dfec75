"""Mutated ITCH messages through the compiled decoder and the step, against plain reference books.

Sixteen instruments. On the first eight a clean day trades; mutations are made of a day on the other eight (and of all
other message types). A mutated message that names one of the first eight, or the session, or that would give a new
order a reference of the clean day, is decoded, counted and not applied: so whatever else happens, the clean books must
be what the clean day alone makes of them.
"""

import ctypes
import json
import mmap
import random
from collections import Counter

import numpy as np
from numba import njit

from engine.core.books import levels_of
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Kind, Session
from engine.core.state import Anomaly
from engine.core.step import step
from engine.protocols import feed as feeds
from engine.protocols import itch
from engine.protocols.itch_events import decode_block
from engine.protocols.moldudp64 import frame

CLEAN = DIRTY = 8
SYMBOLS = [f"C{number}" for number in range(CLEAN)] + [f"D{number}" for number in range(DIRTY)]
UNSUBSCRIBED = 20  # a locate that no directory names
FIRST_DIRTY = 1 << 32  # the clean day's order references are below, those of the others begin here
DATE = 20130102
ROUND = 200_000  # mutated messages on one state
CLEAN_MESSAGES = 6_000
PAGE = mmap.PAGESIZE
MAX_BLOCK = 4 * PAGE
MUTATIONS = (
    "bit_flips",
    "truncated",
    "extended",
    "wrong_length",
    "unknown_type",
    "random_bytes",
    "foreign_reference",
    "replayed",
    "shuffled",
    "cut_block",
)
FLIPS, CUT, EXTEND, LENGTH, TYPE, RANDOM, FOREIGN, REPLAY, SHUFFLE, CUT_BLOCK = range(len(MUTATIONS))
SESSION, ANOMALY, ADD, REPLACE = int(Kind.SESSION), int(Kind.ANOMALY), int(Kind.ADD), int(Kind.REPLACE)
START_OF_MESSAGES = int(Session.START_OF_MESSAGES)

REFUSED = 1  # ``flags`` of a logged event that the step answered with an anomaly

# How mutated messages came out beyond the decoder's own counters.
OUTCOMES = ("stepped", "names_a_clean_book", "session")
APPLIED, NAMES_CLEAN, SESSIONS = range(len(OUTCOMES))


# ---- clean days ---------------------------------------------------------------------------------------------


def directory() -> list[bytes]:
    return [
        itch.encode(
            itch.StockDirectory(n + 1, 0, 1, symbol, "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N")
        )
        for n, symbol in enumerate(SYMBOLS)
    ]


def trading_day(count: int, rng: random.Random, first: int, reference: int) -> list[bytes]:
    """Valid messages of every kind that a book makes, on eight instruments from `first` on."""
    messages: list[itch.ItchMessage] = []
    live: dict[int, list[int]] = {}  # reference: locate, shares
    for number in range(count):
        locate, ts, reference = first + 1 + rng.randrange(8), 34_200 * 10**9 + number, reference + 1
        side, price = (("B", 100_0000), ("S", 100_0100))[rng.randrange(2)]
        price += (-1 if side == "B" else 1) * 100 * int(rng.expovariate(0.1))
        shares, known = rng.randint(1, 900), rng.choice(list(live)) if live and len(live) > 400 else 0
        choice = rng.random()
        if not known or choice < 0.35:
            order = (reference, side, shares, SYMBOLS[locate - 1], price)
            mpid = rng.random() < 0.2
            messages.append(
                itch.AddOrderMpid(locate, 0, ts, *order, "MAKE") if mpid else itch.AddOrder(locate, 0, ts, *order)
            )
            live[reference] = [locate, shares]
            continue
        locate, left = live[known]
        part = rng.randint(1, left)
        if choice < 0.5:
            messages.append(itch.OrderExecuted(locate, 0, ts, known, part, number))
        elif choice < 0.55:
            messages.append(itch.OrderExecutedWithPrice(locate, 0, ts, known, part, number, rng.choice("YN"), price))
        elif choice < 0.65:
            messages.append(itch.OrderCancel(locate, 0, ts, known, part))
        elif choice < 0.85:
            messages.append(itch.OrderDelete(locate, 0, ts, known))
            part = left
        elif choice < 0.95:
            messages.append(itch.OrderReplace(locate, 0, ts, known, reference, shares, price))
            live[reference] = [locate, shares]
            part = left
        elif choice < 0.98:
            messages.append(itch.Trade(locate, 0, ts, 0, "B", shares, SYMBOLS[locate - 1], price, number))
            continue
        else:
            messages.append(itch.CrossTrade(locate, 0, ts, shares, SYMBOLS[locate - 1], price, number, "O"))
            continue
        live[known][1] -= part
        if live[known][1] == 0:
            del live[known]
    return [itch.encode(message) for message in messages]


def every_type(rng: random.Random) -> list[bytes]:
    """One valid-looking message of each type of the specification, on an instrument of the second eight."""
    found = []
    for layout in itch.LAYOUTS.values():
        raw = bytearray(rng.randbytes(layout.size))
        raw[0] = ord(layout.cls.TYPE)
        raw[1:3] = (CLEAN + 1 + rng.randrange(DIRTY)).to_bytes(2, "big")
        found.append(bytes(raw))
    return found


# ---- mutation, compiled -------------------------------------------------------------------------------------


@njit(cache=True)
def draw(seed, below):
    """xorshift64*: uniform in [0, below)."""
    x = seed[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    seed[0] = x
    return np.int64((x * np.uint64(2685821657736338717)) >> np.uint64(33)) % below


@njit(cache=True)
def put(block, at, corpus, offsets, index):
    """Copies message `index` with its length to ``block[at:]``; its size with the length."""
    size = offsets[index + 1] - offsets[index]
    block[at : at + size] = corpus[offsets[index] : offsets[index + 1]]
    return size


@njit(cache=True)
def set_length(block, at, length):
    block[at] = (length >> 8) & 0xFF
    block[at + 1] = length & 0xFF


@njit(cache=True)
def mutate(block, at, size, kind, seed, references):
    """Mutates the framed message of `size` bytes at `at`; its new size."""
    length = size - 2
    if kind == FLIPS:
        for _ in range(1 + draw(seed, 8)):
            block[at + draw(seed, size)] ^= np.uint8(1 << draw(seed, 8))
    elif kind == CUT:
        length = draw(seed, length)
        set_length(block, at, length)
    elif kind == EXTEND:
        for _ in range(1 + draw(seed, 12)):
            block[at + 2 + length] = draw(seed, 256)
            length += 1
        set_length(block, at, length)
    elif kind == LENGTH:
        set_length(block, at, draw(seed, 65536) if draw(seed, 4) == 0 else draw(seed, 64))
    elif kind == TYPE:
        block[at + 2] = draw(seed, 256)
    elif kind == RANDOM:
        for offset in range(5, length):  # type and locate stay
            block[at + 2 + offset] = draw(seed, 256)
    elif kind == FOREIGN and length >= 19:
        reference = references[draw(seed, len(references))]
        for offset in range(8):
            block[at + 13 + offset] = (reference >> (8 * (7 - offset))) & 0xFF
    return 2 + length


@njit(cache=True)
def fill_block(block, corpus, offsets, place, seed, references, went_in):
    """Writes a block of mutated messages; (bytes, messages)."""
    count, position = 1 + draw(seed, 4), 0
    last = len(offsets) - 1
    for _ in range(count):
        kind = draw(seed, CUT_BLOCK)
        index = place[0] % last
        if kind == REPLAY:
            index = draw(seed, last) if place[0] >= last else draw(seed, place[0] + 1)
        elif kind == SHUFFLE:
            index = draw(seed, last)
        else:
            place[0] += 1
        went_in[kind] += 1
        size = put(block, position, corpus, offsets, index)
        position += mutate(block, position, size, kind, seed, references)
    if draw(seed, 10) == 0:
        went_in[CUT_BLOCK] += 1
        position -= draw(seed, min(position, 60))
    return position, count


@njit(cache=True)
def fuzz(states, kernels, out, fence, fence_end, feed, locates, symbols, corpora, seed, counts, log, events, numbers):
    """Feeds ``numbers[0]`` mutated messages between the clean ones; how many events were applied (and logged).

    ``fence`` is uint8 memory whose byte `fence_end` may not be read.
    """
    clean, clean_offsets, dirty, dirty_offsets, references, scratch = corpora
    went_in, outcomes, anomalies = counts
    place, sent, logged, spoken = np.zeros(1, np.int64), 0, 0, 0
    spread = max(numbers[0] // (len(clean_offsets) - 1), 1)
    saved = locates.copy()
    while sent < numbers[0] or spoken < len(clean_offsets) - 1:
        while spoken < len(clean_offsets) - 1 and (spoken * spread <= sent or sent >= numbers[0]):
            start, stop = clean_offsets[spoken], clean_offsets[spoken + 1]
            for index in range(decode_block(clean, start, stop, feed, locates, symbols, events)):
                step(states[0], kernels, events, index, out)
            spoken += 1
        if sent >= numbers[0]:
            continue
        size, count = fill_block(scratch, dirty, dirty_offsets, place, seed, references, went_in)
        sent += count
        start = fence_end - size
        fence[start:fence_end] = scratch[:size]
        for index in range(decode_block(fence, start, fence_end, feed, locates, symbols, events)):
            event = events[index]
            if event.kind == SESSION:
                outcomes[SESSIONS] += 1
                if event.code == START_OF_MESSAGES:
                    locates[:] = saved
                    feed.highest = len(symbols)
            elif event.instrument < CLEAN or (event.kind in (ADD, REPLACE) and 0 <= event.order_id < FIRST_DIRTY):
                outcomes[NAMES_CLEAN] += 1
            else:
                outcomes[APPLIED] += 1
                log[logged] = event
                log[logged].flags = 0
                for position in range(step(states[0], kernels, events, index, out)):
                    if out[position].kind == ANOMALY:
                        anomalies[out[position].code] += 1
                        log[logged].flags = REFUSED
                logged += 1
    for locate in range(len(locates)):
        if locates[locate] != saved[locate]:
            return -1
    return logged


class Fence:
    """Memory whose end borders on a page that may not be touched."""

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size + PAGE)
        self.end = size
        self.memory = np.frombuffer(self._map, np.uint8)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._map)) + size
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")


# ---- one round and its judgement ----------------------------------------------------------------------------


def packed(messages: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(framed bytes, int64 offsets of each message and of the end)."""
    sizes = [0, *(2 + len(message) for message in messages)]
    return np.frombuffer(frame(messages), np.uint8).copy(), np.cumsum(sizes, dtype=np.int64)


def new_engine() -> Engine:
    engine = Engine(lambda manifest: Loaded(0, frozenset(), 0))
    payload = json.dumps(SYMBOLS).encode()
    engine.apply_blob(blob(BlobType.INSTRUMENTS, payload, strategy=FIRM, ts=0), payload)
    start = np.zeros(1, EVENT)
    start["kind"], start["instrument"], start["code"], start["date"] = SESSION, -1, START_OF_MESSAGES, DATE
    engine.apply(start)
    return engine


class Reference:
    """Plain books, fed with events that the step took; what it refused must have changed nothing."""

    def __init__(self) -> None:
        self.orders: dict[int, list[int]] = {}  # instrument, side (0 bid, 1 ask), price, shares
        self.wrong: list[str] = []

    def take(self, events: np.ndarray) -> None:
        names = ("flags", "kind", "instrument", "side", "order_id", "price", "qty", "ref")
        for flags, *event in zip(*(events[name].tolist() for name in names), strict=True):
            if ADD <= event[0] <= REPLACE and not flags & REFUSED:
                self.apply(*event)

    def apply(self, kind: int, instrument: int, side: int, order_id: int, price: int, qty: int, ref: int) -> None:
        if kind == Kind.ADD:
            self.rest(order_id, [instrument, 0 if side > 0 else 1, price, qty])
            return
        order = self.orders.get(ref if kind == Kind.REPLACE else order_id)
        if order is None or order[0] != instrument:
            self.wrong.append(f"taken, but there is no such order: {Kind(kind).name} {order_id}")
        elif kind == Kind.DELETE:
            del self.orders[order_id]
        elif kind == Kind.REPLACE:
            del self.orders[ref]
            self.rest(order_id, [instrument, order[1], price, qty])
        else:
            order[3] -= qty
            if order[3] <= 0:
                del self.orders[order_id]

    def rest(self, order_id: int, order: list[int]) -> None:
        if order_id in self.orders or order[2] <= 0 or order[3] <= 0:
            self.wrong.append(f"taken, but cannot rest: {order_id} {order}")
        self.orders[order_id] = order

    def levels(self) -> dict[tuple[int, int], list[tuple[int, int, int]]]:
        """(price, shares, orders) by instrument and side, best first."""
        prices: dict[tuple[int, int], dict[int, list[int]]] = {}
        for instrument, side, price, shares in self.orders.values():
            level = prices.setdefault((instrument, side), {}).setdefault(price, [0, 0])
            level[0] += shares
            level[1] += 1
        return {
            row: [(price, *level) for price, level in sorted(found.items(), reverse=row[1] == 0)]
            for row, found in prices.items()
        }


def differences(engine: Engine, reference: Reference, instruments: range) -> list[str]:
    found, expected = reference.wrong[:3], reference.levels()
    for instrument in instruments:
        for side, name in enumerate(("bid", "ask")):
            shown, wanted = levels_of(engine.state["books"][0], instrument, side), expected.get((instrument, side), [])
            if shown != wanted:
                found.append(f"{SYMBOLS[instrument]} {name}: {shown[:2]}, expected {wanted[:2]}")
            market, touch = engine.state["market"][instrument], (wanted or [(0, 0, 0)])[0]
            if (int(market[name]), int(market[f"{name}_size"])) != touch[:2]:
                found.append(f"{SYMBOLS[instrument]} {name} touch: {market[name]}, expected {touch[0]}")
    return found


def events_of(messages: tuple[np.ndarray, np.ndarray], feed: np.record, locates: np.ndarray) -> np.ndarray:
    out = np.zeros(len(messages[1]), EVENT)
    count = decode_block(messages[0], 0, len(messages[0]), feed, locates, feeds.symbol_keys(SYMBOLS), out)
    return out[:count]


def run(count: int, seed: int) -> dict:
    """Fuzzes with `count` mutated messages."""
    rng = random.Random(seed)
    clean = packed(trading_day(CLEAN_MESSAGES, rng, 0, 1))
    dirty = packed(trading_day(20_000, rng, CLEAN, FIRST_DIRTY) + [raw for _ in range(40) for raw in every_type(rng)])
    went_in, outcomes = np.zeros(len(MUTATIONS), np.int64), np.zeros(len(OUTCOMES), np.int64)
    anomalies = np.zeros(max(Anomaly) + 1, np.int64)
    totals, failures, rounds, done = Counter[str](), list[str](), 0, 0
    xorshift = np.array([seed * 2 + 1], np.uint64)
    fence, log, events = Fence(MAX_BLOCK), np.zeros(ROUND * 2, EVENT), np.zeros(MAX_BLOCK, EVENT)
    symbols, scratch = feeds.symbol_keys(SYMBOLS), np.zeros(MAX_BLOCK, np.uint8)
    while done < count:
        size = min(ROUND, count - done)
        feed, locates, engine = feeds.new_feed(DATE), feeds.new_locate_map(), new_engine()
        events_of(packed(directory()), feed, locates)
        clean_events = events_of(clean, feeds.new_feed(DATE), locates)
        clean_events["flags"] = 0
        references = clean_events["order_id"][clean_events["kind"] == Kind.ADD].copy()
        corpora = (*clean, *dirty, references, scratch)
        logged = fuzz(
            engine.record, engine.kernels, engine.outputs, fence.memory, fence.end, feed, locates, symbols, corpora,
            xorshift, (went_in, outcomes, anomalies), log, events, np.array([size]),
        )  # fmt: skip
        done, rounds = done + size, rounds + 1
        if logged < 0:
            failures.append(f"round {rounds}: a stock locate was given away")
            continue
        clean_reference, dirty_reference = Reference(), Reference()
        clean_reference.take(clean_events)
        dirty_reference.take(log[:logged])
        wrong = differences(engine, clean_reference, range(CLEAN))
        failures += [f"round {rounds}: untouched book {book}" for book in wrong]
        wrong = differences(engine, dirty_reference, range(CLEAN, CLEAN + DIRTY))
        failures += [f"round {rounds}: touched book {book}" for book in wrong]
        counted = feeds.counters(feed)
        totals += Counter(counted)
        if counted["messages"] != sum(counted.values()) - counted["messages"] - counted["truncated"]:
            failures.append(f"round {rounds}: a message is not accounted for: {counted}")
    unaccounted = int(totals["events"]) - rounds * len(clean_events) - int(outcomes.sum())
    if unaccounted:
        failures.append(f"{unaccounted} events are not accounted for")
    decoded = totals["messages"] - rounds * (len(clean[1]) - 1) - rounds * len(SYMBOLS)
    return {
        "mutated": done,
        "behind_a_broken_length": done - decoded,  # less what broken lengths made messages of
        "failures": failures[:20],
        "rounds": rounds,
        "mutations": dict(zip(MUTATIONS, went_in.tolist(), strict=True)),
        "decoder": totals,
        "events": dict(zip(OUTCOMES, outcomes.tolist(), strict=True)),
        "anomalies": {each.name.lower(): int(anomalies[each]) for each in Anomaly if anomalies[each]},
    }
