"""What the venues offer for an intent: the router's options, their prices, sizes and expected costs."""

from engine.core.compiled import njit
from engine.core.router_records import ACTIONS, GRAIN, LEVELS, LOT, MIDPOINT, MOST_AWAY, PART, POST, TAKE, learned_rate


@njit(cache=True)
def survey(intent, venues, quotes, answer):
    """Collects the options; False when nobody displays the other side."""
    other = (1 + intent.side) // 2
    own = 1 - other
    answer.best = _best_quote(venues, quotes, other, -intent.side)
    if answer.best == 0:
        return False
    touch = _best_quote(venues, quotes, own, intent.side)
    answer.miss = _miss(intent, venues, quotes, answer, other)
    for venue in range(len(venues)):
        for action in range(ACTIONS):
            answer.offered[venue, action] = 0
        answer.depth[venue] = 0
        if venues[venue].open and venues[venue].displays:
            _survey_levels(intent, venues[venue], quotes, answer, venue, other)
    if touch and (answer.best - touch) * intent.side > 0:
        answer.middle = (touch + answer.best) // 2
        resting = intent.side * min(intent.side * touch, intent.side * intent.limit)
        for venue in range(len(venues)):
            _survey_unseen(intent, venues[venue], quotes, answer, venue, own, resting)
    return True


@njit(cache=True, inline="always")
def _best_quote(venues, quotes, side, sign):
    """Best displayed price of a side over all open venues, 0 for none; ``sign`` makes better prices larger."""
    best = 0
    for venue in range(len(venues)):
        if venues[venue].open and venues[venue].displays and quotes.size[venue, side, 0] > 0:
            price = quotes.price[venue, side, 0]
            if best == 0 or (price - best) * sign > 0:
                best = price
    return best


@njit(cache=True)
def _miss(intent, venues, quotes, answer, other):
    """What a share left over is expected to cost, over the best price."""
    fee = -MOST_AWAY
    for venue in range(len(venues)):
        answer.level[venue] = 0
        if venues[venue].open and venues[venue].displays and quotes.size[venue, other, 0] > 0:
            fee = max(fee, venues[venue].fees[TAKE])
    total, furthest = 0, 0
    while total < intent.qty:
        nearest, at = MOST_AWAY, -1
        for venue in range(len(venues)):
            level = answer.level[venue]
            if not venues[venue].open or not venues[venue].displays or level == LEVELS:
                continue
            away = (quotes.price[venue, other, level] - answer.best) * intent.side
            if quotes.size[venue, other, level] > 0 and away < nearest:
                nearest, at = away, venue
        if at < 0:
            break
        total += quotes.size[at, other, answer.level[at]]
        answer.level[at] += 1
        furthest = nearest
    return furthest + fee + intent.urgency


@njit(cache=True, inline="always")
def _expected(one, action, away, miss):
    """Cost a share, times PART, at a price that is ``away`` over the best."""
    rate = learned_rate(one, action)
    return rate * (away + one.fees[action]) + (PART - rate) * miss


@njit(cache=True)
def _survey_levels(intent, one, quotes, answer, venue, other):
    """Levels that may be taken at a venue, as many as the intent could use."""
    total = 0
    for level in range(LEVELS):
        price, size = quotes.price[venue, other, level], quotes.size[venue, other, level]
        away = (price - answer.best) * intent.side
        beyond = (price - intent.limit) * intent.side > 0
        if size <= 0 or beyond or away >= MOST_AWAY or total >= intent.qty:
            break
        answer.away[venue, level] = away
        answer.size[venue, level] = size
        answer.expected[venue, level] = _expected(one, TAKE, away, answer.miss)
        answer.depth[venue] = level + 1
        total += size
    answer.offered[venue, TAKE] = total


@njit(cache=True)
def _survey_unseen(intent, one, quotes, answer, venue, own, resting):
    """Midpoint and resting orders at a venue; ``resting`` is the best price at which the intent may rest."""
    if not one.open:
        return
    tried = intent.tried >> venue & 1
    if one.midpoint and not tried and (intent.limit - answer.middle) * intent.side >= 0:
        away = (answer.middle - answer.best) * intent.side
        usual = max(one.hidden >> GRAIN, one.min_qty) if one.hidden > 0 else intent.qty
        answer.offered[venue, MIDPOINT] = min(usual, intent.qty)
        answer.price[venue, MIDPOINT] = answer.middle
        answer.flat[venue, MIDPOINT] = _expected(one, MIDPOINT, away, answer.miss)
    if one.posts and intent.rests and resting > 0:
        there = quotes.size[venue, own, 0] if quotes.price[venue, own, 0] == resting else 0
        answer.offered[venue, POST] = max(there, LOT)
        answer.price[venue, POST] = resting
        away = (resting - answer.best) * intent.side
        answer.flat[venue, POST] = _expected(one, POST, max(away, -MOST_AWAY), answer.miss)
