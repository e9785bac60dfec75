"""Background order flow: simulated agents around a fundamental price, trading in the same books as everyone.

The fundamental is a Brownian bridge in log price from a day's opening value to its real close, so a day ends where it
really ended and wanders as much as that symbol really did. Around it, per symbol:

- a market maker keeps ``LADDER`` levels a side, moves them when the fundamental has left them behind, leans against
  its inventory (1 bp per 10,000 of currency, at most 30 bp; it hedges half of it elsewhere in 35 steps) and fills
  levels that were taken;
- an informed trader takes quotes that the fundamental has passed;
- noise traders send small immediate orders and small resting ones, which they take back again.

Where there are several venues, one crowd leads: the makers of the others stand where its makers do, so that what the
venues display fits together. At a dark venue the makers' ladder is the quote of the displayed venues as that venue sees
it: nobody can trade with it, and noise traders leave midpoint orders there.

Nobody sees who owns an order: an account's orders rest in the book, are traded with and move the maker like any other.

Random numbers come from a splitmix64 generator (Steele, Lea, Flood 2014) that is part of the state, so a seed and the
same external orders at the same steps give the same market.
"""

import math

import numpy as np

from engine.core.compiled import njit
from engine.simulation.matching import delete, delete_all, enter
from engine.simulation.matching_records import (
    CROSSED,
    DAY,
    DELETED,
    EVERYTHING,
    EXECUTED,
    HALTED,
    IMMEDIATE,
    INSTRUMENTS,
    LIMIT,
    MARKET,
    MIDPOINT,
    NEW_ORDER,
    NONE,
    RESTED,
)
from engine.simulation.order_book import best, best_qty, slot_of

TICK = 100  # 0.01 in 1/10,000
LADDER = 3
NOISE_ORDERS = 2  # resting noise orders a symbol at most
CROWD = 0  # owner of all simulated orders
NOISE_TAG = 100
TAKER_TAG = 0

HALF_SPREAD = 0.0003  # of price; at least what rounding outwards to the tick makes of it
SPACING = 0.0004  # of price, at least one tick
NEAREST_NOTIONAL = 15_000.0  # currency at the best level, before a random factor of 0.6 to 1.4
NOTIONAL_STEP = 10_000.0  # more at each further level
NOISE_NOTIONAL = 4_000.0
AUCTION_NOTIONAL = 8_000.0  # of market orders a side and auction, before a random factor
MAX_SKEW = 0.0030
SKEW_PER_CURRENCY = 0.0001 / 10_000.0
INVENTORY_KEPT = 0.98  # a step
INFORMED_PROBABILITY = 0.15  # a step in which the fundamental is beyond the best quote
REFILL_PROBABILITY = 0.3  # a step, for each level that was taken
NOISE_TRADES = 5.0  # a session and symbol
NOISE_QUOTES = 4.0  # placed or taken back, a session and symbol

AGENTS = np.dtype(
    [
        ("active", "<i8"),
        ("fundamental", "<f8"),  # log of the price in 1/10,000
        ("close", "<f8"),  # where the bridge ends, log
        ("variance", "<f8"),  # of the log price over one whole session
        ("threshold", "<f8"),  # how far the fundamental may leave the maker's centre behind, log
        ("centre", "<f8"),  # what the maker's ladder stands around, log; 0 before the first
        ("wanted", "<f8"),  # where the leader's stands
        ("inventory", "<f8"),  # the maker's, shares
        ("ladder", "<i8", (2, LADDER)),  # references; bids, asks; 0: not in the book
        ("noise", "<i8", (NOISE_ORDERS,)),
    ]
)
FLOW = np.dtype(
    [
        ("random", "<u8"),
        ("symbols", "<i8"),
        ("activity", "<f8"),  # multiplies how often noise traders act
        ("follows", "<i8"),  # 1: `follow` says where the makers stand
        ("dark", "<i8"),
        ("new", NEW_ORDER),  # the order that an agent is about to enter
        ("agents", AGENTS, (INSTRUMENTS,)),
    ]
)


def flow_state(symbols: int, seed: int, activity: float = 1.0, *, dark: bool = False) -> np.record:
    """A crowd for ``symbols`` books; ``activity`` 1 suits a session of two seconds."""
    state = np.zeros(1, FLOW)
    state["activity"] = activity
    state["random"] = seed
    state["symbols"] = symbols
    state["dark"] = dark
    state["new"]["owner"] = CROWD
    state["new"]["display"] = EVERYTHING
    return state[0]


def start_day(
    flow: np.record,
    opens: np.ndarray,
    closes: np.ndarray,
    deviations: np.ndarray,
    threshold_share: float,
) -> None:
    """Sets up one trading day; inventories and books begin empty.

    ``opens`` and ``closes`` are float prices in 1/10,000 [symbols], 0 where the symbol does not trade that day;
    ``deviations`` is the standard deviation of the log price over the session [symbols]; the maker moves when the
    fundamental is ``threshold_share`` of that (at least 4 bp) away from its centre.
    """
    symbols = int(flow["symbols"])
    active = (opens > 0) & (closes > 0)
    agents = np.zeros(symbols, AGENTS)
    agents["active"] = active
    agents["fundamental"] = np.log(np.where(active, opens, 1.0))
    agents["close"] = np.log(np.where(active, closes, 1.0))
    agents["variance"] = deviations**2
    agents["threshold"] = np.maximum(threshold_share * deviations, 0.0004)
    flow["agents"][:symbols] = agents


def follow(flow: np.record, leader: np.record) -> None:
    """Before a step: the makers will stand where the leader's do after its own."""
    flow["follows"] = 1
    ours, theirs = flow["agents"], leader["agents"]
    ours["fundamental"], ours["wanted"] = theirs["fundamental"], theirs["centre"]


@njit(cache=True)
def _uniform(flow):
    flow.random += np.uint64(0x9E3779B97F4A7C15)
    mixed = flow.random
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.float64(np.int64(mixed >> np.uint64(11))) * 2.0**-53


@njit(cache=True)
def _normal(flow):
    """Box and Muller (1958)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(flow)))
    return radius * math.cos(2.0 * math.pi * _uniform(flow))


@njit(cache=True)
def _advance(flow, agent, before, after):
    """Moves the bridge from share ``before`` of the session to share ``after``; at 1 it is at the close."""
    if after >= 1.0:
        agent.fundamental = agent.close
        return
    step = after - before
    left = 1.0 - before
    mean = agent.fundamental + (agent.close - agent.fundamental) * step / left
    deviation = math.sqrt(agent.variance * step * (1.0 - after) / left)
    agent.fundamental = mean + deviation * _normal(flow)


@njit(cache=True)
def absorb(flow, reports, first, n):
    """Lets the crowd see what happened to its own orders: references, and the maker's inventory."""
    for index in range(first, n):
        report = reports[index]
        agent = flow.agents[report.instrument]
        if report.kind == EXECUTED:
            if report.owner == CROWD and 0 < report.tag <= 2 * LADDER:
                agent.inventory += report.side * report.qty
            if report.taker_owner == CROWD and 0 < report.taker_tag <= 2 * LADDER:
                agent.inventory -= report.side * report.qty
        if report.kind == CROSSED and report.owner == CROWD and 0 < report.tag <= 2 * LADDER:
            agent.inventory += report.side * report.qty
        if report.owner != CROWD:
            continue
        if report.kind == RESTED:
            _remember(agent, report.tag, report.reference)
        elif report.kind == DELETED or (report.kind in (EXECUTED, CROSSED) and report.remaining == 0):
            _remember(agent, report.tag, 0)


@njit(cache=True)
def _remember(agent, tag, reference):
    if tag >= NOISE_TAG:
        agent.noise[tag - NOISE_TAG] = reference
    elif tag > 0:
        agent.ladder[(tag - 1) // LADDER, (tag - 1) % LADDER] = reference


@njit(cache=True)
def _enter(books, flow, instrument, side, price, qty, reports, n):
    """Enters ``flow.new``, whose tag and time in force are set, with what else it needs."""
    new = flow.new
    new.instrument, new.side, new.price, new.qty = instrument, side, price, qty
    after = enter(books, new, reports, n)
    absorb(flow, reports, n, after)
    return after


@njit(cache=True)
def _take(books, flow, instrument, side, price, qty, reports, n):
    """An immediate order, which nobody remembers."""
    flow.new.time_in_force, flow.new.tag = IMMEDIATE, TAKER_TAG
    return _enter(books, flow, instrument, side, price, qty, reports, n)


@njit(cache=True)
def _rest(books, flow, instrument, side, price, qty, tag, reports, n):
    """An order for the day."""
    flow.new.time_in_force, flow.new.tag = DAY, tag
    return _enter(books, flow, instrument, side, price, qty, reports, n)


@njit(cache=True)
def _delete(books, flow, reference, reports, n):
    after = delete(books, reference, reports, n)
    absorb(flow, reports, n, after)
    return after


@njit(cache=True)
def _shares(notional, price):
    """Whole tens of shares for ``notional`` of currency at ``price`` (1/10,000), at least one share."""
    shares = notional * 10_000.0 / price
    return max(np.int64(shares / 10.0 + 0.5) * 10, 1)


@njit(cache=True)
def _level_price(centre, side, level):
    """Price of one level of the ladder: rounded outwards to the tick, never below one tick."""
    price = math.exp(centre)
    spacing = max(price * SPACING, float(TICK))
    exact = (price - side * (price * HALF_SPREAD + level * spacing)) / TICK
    ticks = math.floor(exact) if side > 0 else math.ceil(exact)
    return max(int(ticks), 1) * TICK


@njit(cache=True)
def _place(books, flow, instrument, side, level, reports, n):
    agent = flow.agents[instrument]
    index = (1 - side) // 2
    price = _level_price(agent.centre, side, level)
    old = agent.ladder[index, level]
    slot = slot_of(books, old)
    if slot != NONE and books.orders[slot].price == price:
        return n
    if slot != NONE:
        n = _delete(books, flow, old, reports, n)
    notional = (NEAREST_NOTIONAL + level * NOTIONAL_STEP) * (0.6 + 0.8 * _uniform(flow))
    tag = 1 + index * LADDER + level
    return _rest(books, flow, instrument, side, price, _shares(notional, price), tag, reports, n)


@njit(cache=True)
def _make_market(books, flow, instrument, threshold, reports, n):
    agent = flow.agents[instrument]
    worth = agent.inventory * math.exp(agent.fundamental) / 10_000.0
    skew = max(-MAX_SKEW, min(MAX_SKEW, worth * SKEW_PER_CURRENCY))
    agent.inventory *= INVENTORY_KEPT
    wanted = agent.wanted if flow.follows else agent.fundamental - skew
    moved = wanted != agent.centre if flow.follows else abs(wanted - agent.centre) >= threshold
    if agent.centre == 0.0 or moved:
        # The side that moves away goes first, or the ladder would trade with itself.
        first = -1 if wanted > agent.centre else 1
        agent.centre = wanted
        for side in (first, -first):
            for level in range(LADDER):
                n = _place(books, flow, instrument, side, level, reports, n)
        return n
    for index in range(2):
        for level in range(LADDER):
            if agent.ladder[index, level] == 0 and _uniform(flow) < REFILL_PROBABILITY:
                n = _place(books, flow, instrument, 1 - 2 * index, level, reports, n)
    return n


@njit(cache=True)
def _trade_informed(books, flow, instrument, reports, n):
    price = math.exp(flow.agents[instrument].fundamental)
    for side in (1, -1):
        quote = best(books, instrument, -side)
        if quote and (price - quote) * side > quote * HALF_SPREAD and _uniform(flow) < INFORMED_PROBABILITY:
            qty = max(np.int64(best_qty(books, instrument, -side) * (0.3 + 0.7 * _uniform(flow))), 1)
            n = _take(books, flow, instrument, side, quote, qty, reports, n)
    return n


@njit(cache=True)
def _trade_noise(books, flow, instrument, reports, n):
    """One small immediate order at the best price of a random side."""
    side = 1 if _uniform(flow) < 0.5 else -1
    quote = best(books, instrument, -side)
    if quote == 0:
        return n
    shares = NOISE_NOTIONAL * 10_000.0 / quote * math.exp(0.7 * _normal(flow))
    return _take(books, flow, instrument, side, quote, max(np.int64(shares), 1), reports, n)


@njit(cache=True)
def _quote_noise(books, flow, instrument, reports, n):
    """Takes a resting noise order back, or rests one at the best price, a tick better where there is room; at the
    midpoint of a dark venue."""
    slot = np.int64(_uniform(flow) * NOISE_ORDERS)
    reference = flow.agents[instrument].noise[slot]
    if reference:
        return _delete(books, flow, reference, reports, n)
    side = 1 if _uniform(flow) < 0.5 else -1
    own, other = best(books, instrument, side), best(books, instrument, -side)
    if own == 0 or other == 0:
        return n
    if (other - own) * side > TICK and _uniform(flow) < 0.3:
        own += side * TICK
    qty = _shares(NOISE_NOTIONAL * (0.5 + _uniform(flow)), own)
    if flow.dark:
        flow.new.kind, flow.new.display = MIDPOINT, 0
        n = _rest(books, flow, instrument, side, 0, qty, NOISE_TAG + slot, reports, n)
        flow.new.kind, flow.new.display = LIMIT, EVERYTHING
        return n
    return _rest(books, flow, instrument, side, own, qty, NOISE_TAG + slot, reports, n)


@njit(cache=True)
def step(books, flow, before, after, reports):
    """Lets all agents act once, at share ``after`` of the session; the last time was at ``before``.

    At 0 the makers open the market; at 1 they stand around the real close and a closing trade prints there.
    Returns the number of reports, which all belong to this moment.
    """
    n = np.int64(0)  # a literal would compile all below once more
    for instrument in range(flow.symbols):
        agent = flow.agents[instrument]
        if not agent.active:
            continue
        if not flow.follows:
            _advance(flow, agent, before, after)
        if books.phase[instrument] == HALTED:
            continue
        if before < after < 1.0:
            share = (after - before) * flow.activity
            if not flow.dark:
                n = _trade_informed(books, flow, instrument, reports, n)
            if not flow.dark and _uniform(flow) < NOISE_TRADES * share:
                n = _trade_noise(books, flow, instrument, reports, n)
            if _uniform(flow) < NOISE_QUOTES * share:
                n = _quote_noise(books, flow, instrument, reports, n)
        threshold = agent.threshold if after < 1.0 else 0.0002
        n = _make_market(books, flow, instrument, threshold, reports, n)
        if after >= 1.0 and not flow.dark:
            n = _trade_noise(books, flow, instrument, reports, n)
    return n


@njit(cache=True)
def enter_auction_orders(books, flow, auction, reports):
    """One market order a side for the auction (a time in force) of every book that is not halted; returns reports."""
    n = np.int64(0)
    new = flow.new
    for instrument in range(flow.symbols):
        if not flow.agents[instrument].active or books.phase[instrument] == HALTED:
            continue
        price = math.exp(flow.agents[instrument].fundamental)
        for side in (1, -1):
            new.instrument, new.side, new.price, new.tag = instrument, side, 0, TAKER_TAG
            new.qty = _shares(AUCTION_NOTIONAL * math.exp(0.7 * _normal(flow)), price)
            new.kind, new.time_in_force = MARKET, auction
            n = enter(books, new, reports, n)
    new.kind = LIMIT
    return n


@njit(cache=True)
def expire_all(books, flow, reports):
    """Takes every order of every book out (the day orders' end); returns the number of reports."""
    n = np.int64(0)
    for instrument in range(flow.symbols):
        first = n
        n = delete_all(books, instrument, reports, n)
        absorb(flow, reports, first, n)
    return n
