"""Signals of one instrument: from its touch, its mid over time, and its trades.

Touch: ``imbalance`` (bid size less ask size over both, -1 to 1) and ``microprice``, the mid weighted by the size on the
*other* side (Gatheral and Oomen 2010, "Zero-intelligence realized variance estimation", section 2). Mid over time: two
moving averages whose weights decay with time, not with the number of updates, and ``volatility``, the root mean square
log return of the mid from one point of a time grid to the next, scaled to a trading day of 6.5 hours. Trades: ``vwap``
of the day, and ``flow``, volume signed by who took less all volume decayed alike (-1 to 1).

Prices are float, in the currency. Every field is 0 until it is known.
"""

import math

import numpy as np

from engine.core.compiled import njit
from engine.core.events import PRICE_SCALE

DAY_NS = 23_400 * 1_000_000_000  # a trading day

INSTRUMENT_FIELDS = (
    "mid",
    "spread",
    "imbalance",
    "microprice",
    "fast_average",
    "slow_average",
    "volatility",
    "vwap",
    "flow",
    "last",
    "traded",  # shares of the trade that this event brought, signed by who took; 0 for any other event
)

# ``columns`` is all named signals once more, as the array that patterns read.
INSTRUMENT_SIGNALS = np.dtype(
    {
        "names": [*INSTRUMENT_FIELDS, "columns", "touched_at", "traded_at", "signed", "volume"]
        + ["day_volume", "day_notional", "grid_mid", "next_return", "variance", "returns"],
        "formats": ["<f8"] * len(INSTRUMENT_FIELDS)
        + [("<f8", (len(INSTRUMENT_FIELDS),)), "<i8", "<i8", "<f8", "<f8"]
        + ["<i8", "<i8", "<f8", "<i8", "<f8", "<i8"],
        "offsets": [8 * index for index in range(len(INSTRUMENT_FIELDS))]
        + [0]
        + [8 * (len(INSTRUMENT_FIELDS) + index) for index in range(10)],
    }
)

# Time constants in ns: after so long an average has come 1 - 1/e of the way, and a trade counts 1/e.
INSTRUMENT_SETTINGS = np.dtype(
    [
        ("fast", "<i8"),
        ("slow", "<i8"),
        ("flow", "<i8"),
        ("grid", "<i8"),  # from one return to the next
        ("return_weight", "<f8"),  # of the newest squared return; the first 1 / weight of them weigh alike
    ]
)


@njit(cache=True, inline="always")
def touch_price(market, micro):
    """The mid, or with ``micro`` the microprice, of a touch (a MARKET record), in the currency; 0.0 while it has not
    two sides, or is locked or crossed: that would be no price."""
    bid, ask, bid_size, ask_size = market.bid, market.ask, market.bid_size, market.ask_size
    if bid <= 0 or ask <= bid:
        return 0.0
    if not micro or bid_size + ask_size == 0:
        return (bid + ask) * (0.5 / PRICE_SCALE)
    return (bid * ask_size + ask * bid_size) / (float(bid_size + ask_size) * PRICE_SCALE)


@njit(cache=True)
def on_touch(signals, market, now, settings):
    """The touch is another one. False, with nothing changed, while it gives no price."""
    mid = touch_price(market, False)
    if mid == 0.0:
        return False
    sizes = market.bid_size + market.ask_size
    signals.spread = (market.ask - market.bid) / PRICE_SCALE
    signals.imbalance = (market.bid_size - market.ask_size) / sizes if sizes > 0 else 0.0
    signals.microprice = touch_price(market, True)
    if signals.mid == 0.0:
        signals.fast_average = signals.slow_average = mid
    else:  # the mid before stood until now
        since = now - signals.touched_at
        signals.fast_average += _share(since, settings.fast) * (signals.mid - signals.fast_average)
        signals.slow_average += _share(since, settings.slow) * (signals.mid - signals.slow_average)
    _note_return(signals, now, settings)
    signals.mid = mid
    signals.touched_at = now
    signals.traded = 0.0
    return True


@njit(cache=True, inline="always")
def _share(since, constant):
    """How much of the way an average goes in ``since`` ns."""
    return -math.expm1(-since / constant)


@njit(cache=True)
def _note_return(signals, now, settings):
    """Closes the points of the time grid that have passed: the mid at a point is the last one before it."""
    if signals.mid == 0.0:
        signals.next_return = now - now % settings.grid + settings.grid
        return
    if now < signals.next_return:
        return
    if signals.grid_mid > 0.0:
        _take_square(signals, math.log(signals.mid / signals.grid_mid) ** 2, settings.return_weight)
    quiet = (now - signals.next_return) // settings.grid  # points since, at which nothing had moved
    _take_zeros(signals, quiet, settings.return_weight)
    signals.grid_mid = signals.mid
    signals.next_return += (quiet + 1) * settings.grid
    signals.volatility = math.sqrt(signals.variance * DAY_NS / settings.grid)


@njit(cache=True, inline="always")
def _take_square(signals, square, weight):
    signals.returns += 1
    share = weight
    if signals.returns * weight < 1.0:
        share = 1.0 / signals.returns
    signals.variance += share * (square - signals.variance)


@njit(cache=True, inline="always")
def _take_zeros(signals, count, weight):
    """``count`` returns of nothing at once."""
    alike = min(count, max(int(math.ceil(1.0 / weight)) - 1 - signals.returns, 0))
    if alike > 0:
        signals.variance *= signals.returns / (signals.returns + alike)
    signals.variance *= (1.0 - weight) ** (count - alike)
    signals.returns += count


@njit(cache=True)
def on_trade(signals, price, qty, side, now, settings):
    """A printed trade: ``price`` in 1/10,000, ``qty`` shares, ``side`` of who took (MARKET's ``last_side``)."""
    keeps = math.exp(-(now - signals.traded_at) / settings.flow) if signals.volume > 0.0 else 0.0
    signals.signed = signals.signed * keeps + side * qty
    signals.volume = signals.volume * keeps + qty
    signals.flow = signals.signed / signals.volume
    signals.day_volume += qty
    signals.day_notional += qty * price
    signals.vwap = signals.day_notional / (signals.day_volume * PRICE_SCALE)
    signals.last = price / PRICE_SCALE
    signals.traded = side * qty
    signals.traded_at = now


@njit(cache=True)
def start_day(signals):
    """Forgets everything: averages and returns do not reach over a night."""
    signals.columns[:] = 0.0
    signals.touched_at = signals.traded_at = 0
    signals.signed = signals.volume = 0.0
    signals.day_volume = signals.day_notional = 0
    signals.grid_mid = signals.variance = 0.0
    signals.next_return = signals.returns = 0
