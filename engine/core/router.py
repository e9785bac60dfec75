"""Smart order routing: one intent becomes orders at several venues, at the least expected cost.

What a venue offers for an intent, an *option*, is a price, a size and a rate (how much of what is asked for there is
got, learned from outcomes):

    TAKE       displayed levels of the other side, best first, to the intent's limit
    MIDPOINT   halfway between the best bid and the best ask, undisplayed; the size that is usually found there
    POST       resting at the best price of the intent's own side; as much as is displayed there, or a lot

A share sent to an option costs, over the best displayed price of the other side and with the venue's fee,

    rate * (price + fee) + (1 - rate) * miss

where ``miss`` is what a share left over will cost: the price at which the displayed shares of all venues together fill
the intent, the dearest fee for taking, and the intent's ``urgency``. A share that is not sent costs ``miss``. Of all
splits of the intent the router takes the cheapest one among those that

- trade through nothing: where an order takes displayed shares, every better protected quote (the best level of an open
  protected venue, Regulation NMS rule 611) is taken whole at the same time; such orders are marked as a sweep (ISO);
- send no venue less than its least size, and nobody more than the intent asks for.

Costs at a venue rise from level to level, so filling from the cheapest option on is exact while no rule is broken.
Where one is, the worst price to be taken is tried out, quote by quote, with the quotes that it makes obligatory, and
orders below a least size are left out or raised to it, by branch and bound. ``router_reference`` finds the same least
cost by trying every split.

Records and units are in ``router_records``, the options in ``router_options``.
"""

from engine.core.compiled import njit
from engine.core.router_options import survey
from engine.core.router_records import (
    ACTIONS,
    AT_MIDPOINT,
    BEST_PRICE,
    CHEAPEST,
    DAY,
    FOK,
    INFEASIBLE,
    IOC,
    LEAST_SIZE,
    LIMIT,
    MALFORMED,
    MIDPOINT,
    MOST_AWAY,
    MOST_SHARES,
    NO_BOUND,
    NO_MARKET,
    NOT_WHOLE,
    PART,
    POSTED,
    PROTECTED,
    SWEEP,
    TAKE,
    WAITING,
    WHOLE,
    learned_rate,
)


@njit(cache=True)
def route(intent, venues, quotes, answer):
    """Splits ``intent`` (INTENT) over ``venues`` (VENUE[n], n to VENUES) that display ``quotes`` (CONSOLIDATED).

    Fills ``answer`` (ROUTE) and returns its number of children: none or one for each venue and action.
    """
    answer.children = 0
    answer.cost = 0
    answer.unsent = intent.qty
    if not (0 < intent.qty <= MOST_SHARES and 0 <= intent.urgency <= MOST_AWAY and intent.limit > 0):
        answer.why = MALFORMED
        return 0
    if abs(intent.side) != 1:
        answer.why = MALFORMED
        return 0
    if not survey(intent, venues, quotes, answer):
        answer.why = NO_MARKET
        return 0
    if intent.whole:
        _route_whole(intent, venues, answer)
    else:
        _search(intent, venues, answer)
        _write_children(intent, venues, answer)
    return answer.children


@njit(cache=True)
def _search(intent, venues, answer):
    """The cheapest split that keeps every rule, into ``chosen``: branch and bound over orders below a least size."""
    least = INFEASIBLE
    answer.excluded[0] = answer.raised[0] = 0
    branches = 1
    while branches:
        branches -= 1
        excluded, raised = answer.excluded[branches], answer.raised[branches]
        total, bound = _cheapest(intent, venues, answer, excluded, raised)
        if total >= least:
            continue
        small = _below_least_size(venues, answer)
        if small < 0:
            least = total
            answer.bound = bound
            for venue in range(len(venues)):
                for action in range(ACTIONS):
                    answer.chosen[venue, action] = answer.split[venue, action]
            continue
        answer.excluded[branches], answer.raised[branches] = excluded | 1 << small, raised
        answer.excluded[branches + 1], answer.raised[branches + 1] = excluded, raised | 1 << small
        branches += 2
    answer.cost = least


@njit(cache=True)
def _below_least_size(venues, answer):
    """Bit of the first order that is smaller than its venue takes, -1 for none."""
    for venue in range(len(venues)):
        for action in range(ACTIONS):
            if 0 < answer.split[venue, action] < venues[venue].min_qty:
                return venue * ACTIONS + action
    return -1


@njit(cache=True)
def _cheapest(intent, venues, answer, excluded, raised):
    """(cost, bound) of the cheapest split that trades through nothing, least sizes aside, into ``split``.

    What is obligatory changes at the protected quotes alone, and up to the next of them a worse bound only adds
    options: so those quotes, and no bound beyond the last of them, are all that needs to be tried.
    """
    total = _fill(intent, venues, answer, NO_BOUND, excluded, raised)
    if total == INFEASIBLE or not _trades_through(venues, answer):
        return total, NO_BOUND
    least, best_bound = INFEASIBLE, NO_BOUND
    for venue in range(len(venues) + 1):
        bound = MOST_AWAY
        if venue < len(venues):
            if answer.depth[venue] == 0 or not venues[venue].protected:
                continue
            bound = answer.away[venue, 0]
        total = _fill(intent, venues, answer, bound, excluded, raised)
        if total < least:
            least, best_bound = total, bound
    if least < INFEASIBLE:
        _fill(intent, venues, answer, best_bound, excluded, raised)
    return least, best_bound


@njit(cache=True)
def _trades_through(venues, answer):
    """Whether ``split`` takes a price while a better protected quote is not taken whole."""
    worst = -1
    for venue in range(len(venues)):
        if answer.split[venue, TAKE]:
            last = answer.level[venue] - (answer.used[venue] == 0)
            worst = max(worst, answer.away[venue, last])
    for venue in range(len(venues)):
        if answer.depth[venue] == 0 or not venues[venue].protected:
            continue
        if answer.away[venue, 0] < worst and answer.split[venue, TAKE] < answer.size[venue, 0]:
            return True
    return False


@njit(cache=True)
def _fill(intent, venues, answer, bound, excluded, raised):
    """Splits the intent from the cheapest option on; returns the cost, INFEASIBLE when what is obligatory is not there.

    No price over ``bound`` is taken, and better protected quotes are obligatory (NO_BOUND: neither). ``excluded`` and
    ``raised`` have a bit for each order that is not sent, or has its venue's least size at the least.
    """
    left, total = intent.qty, 0
    for venue in range(len(venues)):
        answer.level[venue] = answer.used[venue] = 0
        for action in range(ACTIONS):
            answer.split[venue, action] = 0
    for venue in range(len(venues)):
        for action in range(ACTIONS):
            bit = 1 << (venue * ACTIONS + action)
            needed = venues[venue].min_qty if raised & bit else 0
            if action == TAKE and bound < NO_BOUND and answer.depth[venue] and venues[venue].protected:
                needed = max(needed, answer.size[venue, 0] if answer.away[venue, 0] < bound else 0)
            if needed == 0:
                continue
            if excluded & bit or needed > left or needed > answer.offered[venue, action]:
                return INFEASIBLE
            left -= needed
            while needed:
                part = min(needed, _room(answer, venue, action, bound))
                if part == 0:
                    return INFEASIBLE
                total += part * _cost_next(answer, venue, action)
                _use(answer, venue, action, part)
                needed -= part
    return total + _fill_cheapest(venues, answer, bound, excluded, left)


@njit(cache=True)
def _fill_cheapest(venues, answer, bound, excluded, left):
    """Splits ``left`` shares, by cost alone; of equals to the venue that is reached first. Returns the cost."""
    total = 0
    while left:
        cheapest, at, by = PART * answer.miss, -1, 0
        for venue in range(len(venues)):
            for action in range(ACTIONS):
                if answer.offered[venue, action] == 0 or excluded >> (venue * ACTIONS + action) & 1:
                    continue
                if _room(answer, venue, action, bound) == 0:
                    continue
                cost = _cost_next(answer, venue, action)
                sooner = at < 0 or venues[venue].latency < venues[at].latency
                if cost < cheapest or (cost == cheapest and sooner):
                    cheapest, at, by = cost, venue, action
        if at < 0:
            return total + left * PART * answer.miss
        part = min(left, _room(answer, at, by, bound))
        _use(answer, at, by, part)
        total += part * cheapest
        left -= part
    return total


@njit(cache=True, inline="always")
def _room(answer, venue, action, bound):
    """Shares that an option still has at its next price."""
    if action != TAKE:
        return answer.offered[venue, action] - answer.split[venue, action]
    level = answer.level[venue]
    if level >= answer.depth[venue] or answer.away[venue, level] > bound:
        return 0
    return answer.size[venue, level] - answer.used[venue]


@njit(cache=True, inline="always")
def _cost_next(answer, venue, action):
    """Of the next share of an option, times PART."""
    return answer.expected[venue, answer.level[venue]] if action == TAKE else answer.flat[venue, action]


@njit(cache=True, inline="always")
def _use(answer, venue, action, shares):
    answer.split[venue, action] += shares
    if action == TAKE:
        answer.used[venue] += shares
        if answer.used[venue] == answer.size[venue, answer.level[venue]]:
            answer.level[venue] += 1
            answer.used[venue] = 0


@njit(cache=True)
def _write_children(intent, venues, answer):
    worst = 0
    for venue in range(len(venues)):
        if answer.chosen[venue, TAKE]:
            worst = max(worst, answer.away[venue, _level_of(answer, venue, answer.chosen[venue, TAKE])])
    for venue in range(len(venues)):
        for action in range(ACTIONS):
            if answer.chosen[venue, action]:
                child = _add_child(venues, answer, venue, action, answer.chosen[venue, action])
                if action == TAKE:
                    _write_take(intent, venues, answer, child, worst)
                    continue
                child.price = answer.price[venue, action]
                child.time_in_force = DAY if intent.rests else IOC
                child.reason = AT_MIDPOINT if action == MIDPOINT else POSTED
                child.cost = child.qty * answer.flat[venue, action]
    answer.why = _why_unsent(venues, answer) if answer.unsent else 0


@njit(cache=True)
def _add_child(venues, answer, venue, action, qty):
    child = answer.child[answer.children]
    answer.children += 1
    answer.unsent -= qty
    child.venue, child.action, child.qty = venue, action, qty
    child.rate = learned_rate(venues[venue], action)
    child.sweep = 0
    return child


@njit(cache=True)
def _level_of(answer, venue, share):
    """The level that a venue's ``share``-th share (from 1) is taken at."""
    level = 0
    while share > answer.size[venue, level]:
        share -= answer.size[venue, level]
        level += 1
    return level


@njit(cache=True)
def _write_take(intent, venues, answer, child, worst):
    venue = child.venue
    last = _level_of(answer, venue, answer.chosen[venue, TAKE])
    child.cost = _cost_of_levels(answer, venue, child.qty)
    away = answer.away[venue, last]
    child.price = answer.best + intent.side * away
    child.time_in_force = IOC
    child.sweep = 1 if worst > 0 else 0
    if away == 0:
        displaying = 0
        for other in range(len(venues)):
            displaying += answer.depth[other] > 0 and answer.away[other, 0] == 0
        child.reason = BEST_PRICE if displaying == 1 else CHEAPEST
    elif answer.bound < NO_BOUND and venues[venue].protected and last == 0 and away < worst:
        child.reason = PROTECTED
    else:
        child.reason = SWEEP


@njit(cache=True)
def _why_unsent(venues, answer):
    """Looks at what ``chosen`` leaves of each option."""
    there = False
    for venue in range(len(venues)):
        for action in range(ACTIONS):
            left = answer.offered[venue, action] - answer.chosen[venue, action]
            if left <= 0:
                continue
            there = True
            cost = answer.flat[venue, action]
            if action == TAKE:
                cost = answer.expected[venue, _level_of(answer, venue, answer.chosen[venue, TAKE] + 1)]
            if cost < PART * answer.miss:
                return LEAST_SIZE
    return WAITING if there else LIMIT


@njit(cache=True)
def _route_whole(intent, venues, answer):
    """All of it at the one venue where that is cheapest and trades through nothing; unsent where there is none."""
    least, at = INFEASIBLE, -1
    for venue in range(len(venues)):
        if answer.offered[venue, TAKE] < intent.qty or intent.qty < venues[venue].min_qty:
            continue
        _choose_only(venues, answer, venue, intent.qty)
        if _better_elsewhere(venues, answer, venue):
            continue
        total = _cost_of_levels(answer, venue, intent.qty)
        if total < least or (total == least and venues[venue].latency < venues[at].latency):
            least, at = total, venue
    answer.why = NOT_WHOLE
    answer.cost = intent.qty * PART * answer.miss
    if at < 0:
        return
    answer.why, answer.cost, answer.bound = 0, least, NO_BOUND
    _choose_only(venues, answer, at, intent.qty)
    child = _add_child(venues, answer, at, TAKE, intent.qty)
    child.price = answer.best + intent.side * answer.away[at, _level_of(answer, at, answer.chosen[at, TAKE])]
    child.cost, child.reason, child.time_in_force = least, WHOLE, FOK


@njit(cache=True)
def _choose_only(venues, answer, at, qty):
    for venue in range(len(venues)):
        for action in range(ACTIONS):
            answer.chosen[venue, action] = 0
    answer.chosen[at, TAKE] = qty


@njit(cache=True)
def _better_elsewhere(venues, answer, at):
    """Whether another venue protects a better price than the worst that ``chosen`` takes at ``at``."""
    worst = answer.away[at, _level_of(answer, at, answer.chosen[at, TAKE])]
    for venue in range(len(venues)):
        if venue != at and venues[venue].protected and answer.depth[venue] > 0 and answer.away[venue, 0] < worst:
            return True
    return False


@njit(cache=True)
def _cost_of_levels(answer, venue, qty):
    """Of taking ``qty`` shares at one venue from its best level on, times PART."""
    total, level = 0, 0
    while qty:
        part = min(qty, answer.size[venue, level])
        total += part * answer.expected[venue, level]
        qty -= part
        level += 1
    return total
