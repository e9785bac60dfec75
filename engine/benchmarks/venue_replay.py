"""Works intents on a day of four venues: by the router, or all to the best displayed quote.

The books are the day's and cannot be changed; what an intent has taken is not there a second time for it (a ledger by
venue and price), and is there again for the next intent, seconds later. An order reaches its venue the venue's latency
after it was decided and takes what is displayed *then*, within its limit; what it got is known as much later again, and
the rest is decided anew on the books of that time. Once a minute what the router has learned relaxes to its prior.
After MOST_ROUNDS what is left is taken over all venues at once, at whatever is displayed: so every intent is done by
either, and costs compare.

What this cannot show: nobody reacts to what an intent takes, so there is no haste in taking the rest of a level.
"""

import numpy as np
from numba import njit

from engine.benchmarks.venue_days import INTEREST_US, LIT
from engine.core import books
from engine.core.router import route
from engine.core.router_records import CONSOLIDATED, INTENT, IOC, LEVELS, MIDPOINT, ROUTE, TAKE, note_outcome, relax

ROUTER, NAIVE_TOUCH, NAIVE_SWEEP = 0, 1, 2
MOST_ROUNDS = 40
WAIT_NS = 1_000_000  # until the next look, when nothing could be sent
REMEMBERED = 256
CLEAN_UP_FEE = 30  # 1/10,000 a share
ARRIVED = -1
RELAX_NS = 60_000_000_000

TASK = np.dtype([("at", "<i8"), ("side", "<i8"), ("qty", "<i8"), ("limit", "<i8"), ("urgency", "<i8")])
# What became of a task; ``paid`` is side * price * shares with fees, in 1/10,000, ``middle`` twice the mid at ``at``.
RESULT = np.dtype(
    [
        ("middle", "<i8"),
        ("paid", "<i8"),
        ("done", "<i8"),
        ("dark", "<i8"),
        ("cleaned", "<i8"),
        ("asked", "<i8"),
        ("got", "<i8"),
        ("orders", "<i8"),
        ("rounds", "<i8"),
        ("ended", "<i8"),
    ]
)
WORK = np.dtype(
    [
        ("next_event", "<i8"),
        ("entries", "<i8"),
        ("venue", "<i8", (REMEMBERED,)),
        ("price", "<i8", (REMEMBERED,)),
        ("taken", "<i8", (REMEMBERED,)),
    ]
)


@njit(cache=True)
def advance(book, events, work, until):
    """Applies every event up to ``until``."""
    while work.next_event < len(events) and events[work.next_event].ts_event <= until:
        books.apply(book, events[work.next_event])
        work.next_event += 1


@njit(cache=True)
def look(book, work, quotes, prices, sizes):
    """Fills CONSOLIDATED from the books, less what the task has taken already."""
    for venue in range(LIT):
        for side in range(2):
            count, kept = books.depth(book, venue, side, prices, sizes), 0
            for level in range(count):
                left = sizes[level] - _taken(work, venue, prices[level])
                if left > 0:
                    quotes.price[venue, side, kept] = prices[level]
                    quotes.size[venue, side, kept] = left
                    kept += 1
            if kept < LEVELS:
                quotes.size[venue, side, kept] = 0


@njit(cache=True, inline="always")
def _taken(work, venue, price):
    total = 0
    for entry in range(work.entries):
        if work.venue[entry] == venue and work.price[entry] == price:
            total += work.taken[entry]
    return total


@njit(cache=True)
def middle(quotes):
    """Twice the mid of the consolidated touch, 0 without one; the mid as the router rounds it is half of it."""
    bid = ask = 0
    for venue in range(LIT):
        if quotes.size[venue, 0, 0] > 0:
            bid = max(bid, quotes.price[venue, 0, 0])
        if quotes.size[venue, 1, 0] > 0 and (ask == 0 or quotes.price[venue, 1, 0] < ask):
            ask = quotes.price[venue, 1, 0]
    return bid + ask if bid and ask else 0


@njit(cache=True)
def execute(task, child, fee, quotes, work, result):
    """Takes what a venue displays now, within the order's limit; returns the shares got."""
    side, got = (1 + task.side) // 2, 0
    for level in range(LEVELS):
        price, size = quotes.price[child.venue, side, level], quotes.size[child.venue, side, level]
        if size <= 0 or (price - child.price) * task.side > 0 or got == child.qty:
            break
        part = min(child.qty - got, size)
        got += part
        result.paid += task.side * price * part + fee * part
        if work.entries < REMEMBERED:
            entry = work.entries
            work.venue[entry], work.price[entry], work.taken[entry] = child.venue, price, part
            work.entries += 1
    return got


@njit(cache=True)
def execute_dark(task, child, fee, now, twice_middle, interests, used, number, result):
    """Trades with interests of the other side that stand at ``now``, at the mid of now; returns the shares got."""
    price, got = twice_middle // 2, 0
    if twice_middle == 0 or (price - task.limit) * task.side > 0:
        return 0
    index = np.searchsorted(interests["begins"], now - INTEREST_US * 1_000)
    while index < len(interests) and interests[index].begins <= now and got < child.qty:
        one = interests[index]
        if one.ends > now and one.side == -task.side and used[index] != number:
            got += min(child.qty - got, one.qty)
            used[index] = number
        index += 1
    result.paid += task.side * price * got + fee * got
    result.dark += got
    return got


@njit(cache=True)
def decide_naively(task, left, policy, quotes, answer):
    """The whole rest to the venue that displays the best price, of several the most shares: at that price, or to the
    task's limit."""
    side, at = (1 + task.side) // 2, -1
    for venue in range(LIT):
        if quotes.size[venue, side, 0] <= 0:
            continue
        if at >= 0:
            better = (quotes.price[at, side, 0] - quotes.price[venue, side, 0]) * task.side
            more = quotes.size[venue, side, 0] > quotes.size[at, side, 0]
            if better < 0 or (better == 0 and not more):
                continue
        at = venue
    answer.children = 0
    if at >= 0:
        child = answer.child[0]
        child.venue, child.action, child.qty, child.time_in_force = at, TAKE, left, IOC
        child.price = quotes.price[at, side, 0] if policy == NAIVE_TOUCH else task.limit
        answer.children = 1


@njit(cache=True)
def send(number, task, now, venues, answer, buffers, result, learns):
    """Lets every child reach its venue in turn; returns (shares got, when all of that is known)."""
    book, events, interests, used, work, quotes, prices, sizes = buffers
    total, known = 0, now
    for _ in range(answer.children):
        at = _next_to_arrive(answer, venues)
        child = answer.child[at]
        one = venues[child.venue]
        arrival = now + one.latency
        advance(book[0], events, work[0], arrival)
        look(book[0], work[0], quotes[0], prices, sizes)
        fee = one.fees[child.action]
        if child.action == MIDPOINT:
            mid = middle(quotes[0])
            got = execute_dark(task, child, fee, arrival, mid, interests, used, number, result)
        else:
            got = execute(task, child, fee, quotes[0], work[0], result)
            result.asked += child.qty
            result.got += got
        if learns:
            note_outcome(one, child.action, child.qty, got)
        total += got
        known = max(known, arrival + one.latency)
        child.venue = ARRIVED
    result.orders += answer.children
    return total, known


@njit(cache=True)
def _next_to_arrive(answer, venues):
    at = -1
    for index in range(answer.children):
        venue = answer.child[index].venue
        if venue != ARRIVED and (at < 0 or venues[venue].latency < venues[answer.child[at].venue].latency):
            at = index
    return at


@njit(cache=True)
def work_task(number, task, policy, venues, intent, answer, buffers, result, sample):
    """Rounds of decisions until the task is done, then RESULT. ``sample`` (CONSOLIDATED) gets the first look."""
    book, events, interests, used, work, quotes, prices, sizes = buffers
    now, left = task.at, task.qty
    work[0].entries = intent.tried = 0
    intent.side, intent.limit, intent.urgency = task.side, task.limit, task.urgency
    while left and result.rounds < MOST_ROUNDS:
        advance(book[0], events, work[0], now)
        look(book[0], work[0], quotes[0], prices, sizes)
        if result.rounds == 0:
            result.middle = middle(quotes[0])
            sample.price[:] = quotes[0].price
            sample.size[:] = quotes[0].size
        intent.qty = left
        if policy == ROUTER:
            route(intent, venues, quotes[0], answer)
        else:
            decide_naively(task, left, policy, quotes[0], answer)
        result.rounds += 1
        if answer.children == 0:
            now += WAIT_NS
            continue
        for index in range(answer.children):
            if answer.child[index].action == MIDPOINT:
                intent.tried |= 1 << answer.child[index].venue
        got, now = send(number, task, now, venues, answer, buffers, result, policy == ROUTER)
        left -= got
    result.ended = now
    advance(book[0], events, work[0], now)
    look(book[0], work[0], quotes[0], prices, sizes)
    result.cleaned = clean_up(task, left, quotes[0], result)
    result.done = task.qty - left + result.cleaned


@njit(cache=True)
def clean_up(task, left, quotes, result):
    """Takes what is left from all that is displayed, best prices first; returns the shares that there were."""
    side, total = (1 + task.side) // 2, 0
    while total < left:
        at, best = -1, 0
        for venue in range(LIT):
            for level in range(LEVELS):
                price, size = quotes.price[venue, side, level], quotes.size[venue, side, level]
                if size <= 0:
                    break
                if at < 0 or (best - price) * task.side > 0:
                    at, best = venue * LEVELS + level, price
        if at < 0:
            break
        venue, level = at // LEVELS, at % LEVELS
        part = min(left - total, quotes.size[venue, side, level])
        quotes.size[venue, side, level] -= part
        if quotes.size[venue, side, level] == 0:
            for deeper in range(level, LEVELS - 1):
                quotes.size[venue, side, deeper] = quotes.size[venue, side, deeper + 1]
                quotes.price[venue, side, deeper] = quotes.price[venue, side, deeper + 1]
            quotes.size[venue, side, LEVELS - 1] = 0
        result.paid += task.side * best * part + CLEAN_UP_FEE * part
        total += part
    return total


@njit(cache=True)
def run_tasks(events, interests, tasks, policy, venues, book, results, samples):
    """Every task, one after the other; ``book`` is an empty BOOKS, ``venues`` VENUE[4] and learn as they go."""
    used = np.full(len(interests), -1, np.int64)
    work, quotes = np.zeros(1, WORK), np.zeros(1, CONSOLIDATED)
    prices, sizes = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
    intents, answers = np.zeros(1, INTENT), np.zeros(1, ROUTE)
    buffers = (book, events, interests, used, work, quotes, prices, sizes)
    relaxed = tasks[0].at
    for number in range(len(tasks)):
        task, result = tasks[number], results[number]
        if task.at - relaxed > RELAX_NS:
            relaxed = task.at
            for venue in range(len(venues)):
                relax(venues[venue])
        work_task(number, task, policy, venues, intents[0], answers[0], buffers, result, samples[number])


@njit(cache=True)
def touches(events, times, book, found):
    """(bid, shares, ask, shares) of the consolidated touch at each of ``times`` (rising), 0 where a side is empty."""
    work, quotes = np.zeros(1, WORK), np.zeros(1, CONSOLIDATED)
    prices, sizes = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
    for index in range(len(times)):
        advance(book[0], events, work[0], times[index])
        look(book[0], work[0], quotes[0], prices, sizes)
        for side in range(2):
            best, shares = 0, 0
            for venue in range(LIT):
                price, size = quotes[0].price[venue, side, 0], quotes[0].size[venue, side, 0]
                if size <= 0:
                    continue
                better = (price - best) * (1 - 2 * side)
                if best == 0 or better > 0:
                    best, shares = price, size
                elif better == 0:
                    shares += size
            found[index, 2 * side] = best
            found[index, 2 * side + 1] = shares


@njit(cache=True)
def decide_all(intents, venues, samples, answers):
    """One decision for each sample; returns the children of all of them."""
    total = 0
    for index in range(len(samples)):
        total += route(intents[index], venues, samples[index], answers[0])
    return total
