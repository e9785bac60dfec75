"""The event: one fixed record of 64 bytes (one cache line) for everything that trades.

Header: ``ts_event`` and ``ts_recv`` in ns UTC (on the session clock in simulations), ``instrument``
(index into the engine's instrument table, -1 for none), ``kind``, ``side`` (+1 buy, -1 sell, 0 none),
``venue`` and ``flags``. Payload: five int64 whose names go by kind; the names overlap.

Prices are in 1/10,000 of the currency, quantities in whole shares, money in 1/10,000 of the currency.

What does not fit one record is a BLOB: its header record says ``blob_type``, ``length`` (bytes) and
``digest`` (first eight bytes of its SHA-256), and ``ceil(length / 64)`` raw cells follow it.
"""

from enum import IntEnum

import numpy as np

PRICE_SCALE = 10_000


class Kind(IntEnum):
    """What a record is. 1-29 market data, 30-49 order reports, 50-69 outputs of the step, 100+ control."""

    # market data (inputs)
    ADD = 1  # order_id, price, qty
    EXECUTE = 2  # order_id, price (0: at the resting order's price), qty, ref = match number
    REDUCE = 3  # order_id, qty (shares cancelled)
    DELETE = 4  # order_id
    REPLACE = 5  # order_id (new), price, qty, ref = old order id
    TRADE = 6  # price, qty, ref = match number (an execution against an order that was not displayed)
    QUOTE = 7  # bid, bid_size, ask, ask_size
    BAR = 8  # open, high, low, close, volume; ts_event is its close (also an output: bars the step closes)
    STATUS = 9  # code: TradingStatus; with Flag.SHORT_SALE: ShortSale
    SESSION = 10  # code: Session, date (yyyymmdd)
    STALE = 11  # code: Stale; date and sequence: the next packet of the feed; recovered, duplicates: since the last
    # order reports (inputs, from the venue)
    ACCEPTED = 30  # order_id, price, qty, ref = venue's order number
    EXECUTION = 31  # order_id, price, qty, ref = match number
    CANCELED = 32  # order_id, qty (shares taken off), reason (the venue's letter, as a number)
    REJECTED = 33  # order_id, reason (the venue's code)
    ORDER_SESSION = 34  # code: 1 logged in and caught up, 0 lost; ref = next order id the venue expects;
    # missing: reports that the venue does not have, or not any more
    REPLACED = 35  # order_id (the new one), price, qty (open shares), ref = the order that it replaces
    CANCEL_REJECTED = 36  # order_id, reason
    BUST = 37  # order_id, ref = match number: the execution is undone
    CORRECTION = 38  # order_id, price, qty, ref = match number: what the execution was, rightly
    RESTATED = 39  # order_id, reason: Restatement
    # outputs of the step
    ORDER_NEW = 50  # order_id, price, qty, ref = parent id, strategy; flags: time in force, POST_ONLY, Mark, PEGGED
    ORDER_CANCEL = 51  # order_id, qty = 0, strategy; flags = 1: it goes out in the MASS_CANCEL behind it
    LIMIT_REJECT = 52  # code: Limit, value (of the limit), level: Level, order_value, strategy
    FILL = 53  # order_id, price, qty, ref = match number, strategy
    POSITION = 54  # position, average_cost, realised, fees, strategy
    TARGET = 55  # parent_id, target (shares, signed), strategy: what a strategy wants
    SIGNAL = 56  # pair, z_micro, spread_micro, hedge_micro, strategy; side = the pair's stance
    EQUITY = 57  # equity, unrealised, realised, gross, strategy; flags = 1 at the session's close
    ORDER_DONE = 58  # order_id, order_state: OrderState, filled, reason, strategy
    ANOMALY = 59  # code: Anomaly, value, ref
    STRATEGY_STATE = 60  # code: StrategyState, strategy
    LEG = 61  # pair, target (shares, signed), strategy: what one pair wants of one instrument
    FEED_HEALTH = 62  # flags: HealthPage, which says the fields; instrument -1: the feed as a whole
    ORDER_REPLACE = 63  # order_id (the new one), price, qty (with what was executed before), ref = old id, strategy;
    # flags: POST_ONLY, Mark
    FILL_BUSTED = 64  # order_id, price, qty (as it was booked), ref = match number, strategy: a FILL is undone
    BREAK = 65  # code: Break, value: its match number or order id; instrument (-1: all) does not trade while it is open
    SCHEDULE = 66  # parent_id, due, planned, done, strategy: how far a scheduled parent has come, in shares
    KILL = 67  # code: KillLevel that holds from here on, scope: Scope, ref: its key, epoch
    MASS_CANCEL = 68  # order_id (an id of its own), venue, instrument (-1: all): all that works there, in one message
    ROUTE = 69  # order_id, action, rate (of it that is expected), reason: router_records.Reason, strategy: why there
    # control (inputs)
    TIMER = 100  # deadline
    COMMAND = 101  # command: Command, argument, strategy
    BLOB = 102  # blob_type: BlobType, length, digest, strategy
    CELL = 103  # never stored as a kind: names the raw cells behind a BLOB
    CORPORATE_ACTION = 104  # code: Action, numerator, denominator (new shares for old ones), amount (money a share)
    ADJUSTMENT = 105  # price, qty, person, strategy: shares by hand
    INTENT = 106  # of a strategy that runs outside: flags says what it is (TARGET, LEG, SIGNAL), and so the payload;
    # ts_event: the ts_recv of the newest event that it had seen


class Session(IntEnum):
    """Phases of a trading day, from ITCH system events O, S, Q, M, E, C."""

    START_OF_MESSAGES = 1
    START_OF_SYSTEM = 2
    OPEN = 3
    CLOSE = 4
    END_OF_SYSTEM = 5
    END_OF_MESSAGES = 6


class TradingStatus(IntEnum):
    HALTED = 0
    PAUSED = 1
    QUOTATION_ONLY = 2
    TRADING = 3


class ShortSale(IntEnum):
    """ITCH 5.0 section 1.2.3, "Reg SHO Action": whether the price test of Rule 201 holds."""

    FREE = 0
    RESTRICTED = 1  # the price fell by 10 % today
    REMAINS_RESTRICTED = 2  # it did so yesterday


class Action(IntEnum):
    """Corporate actions. A change of symbol is a BLOB, for symbols are no part of the state."""

    SPLIT = 1
    DIVIDEND = 2


class Stale(IntEnum):
    """What a STALE record says of the feed."""

    IN_ORDER = 0
    GAP = 1  # messages are missing: what is known of every instrument is old
    FORGET = 2  # as GAP, and the books are empty from here on: a snapshot of them follows


class HealthPage(IntEnum):
    """Of FEED_HEALTH, two records each. Times in ns; everything since the trading day began."""

    COUNTS = 0
    QUALITY = 1


HEALTH_FIELDS = {
    HealthPage.COUNTS: ("messages", "gaps", "recovered", "duplicates", "stale_ns"),
    HealthPage.QUALITY: ("crossed_ns", "outliers", "latency_p50", "latency_p99", "latency_max"),
}


class Flag(IntEnum):
    """Bits of ``flags`` on market data."""

    NON_PRINTABLE = 1  # EXECUTE: neither volume nor a last price
    CROSS = 2  # TRADE: an auction
    OPERATIONAL = 4  # STATUS: of this venue alone, not of the security
    SHORT_SALE = 32  # STATUS: of short sales, not of trading
    RECOVERED = 8  # came after messages that follow it: a gap in the feed was filled
    SNAPSHOT = 16  # says what stands already, once more: no message of the feed, and nothing that has just happened


class Restatement(IntEnum):
    """What a venue makes of an order that it neither executes nor cancels."""

    SUSPENDED = 1
    RESUMED = 2
    EXPIRED = 3
    DONE_FOR_DAY = 4


class Break(IntEnum):
    """Why what we hold may not be what the venue says that we hold."""

    RESOLVED = 0
    UNKNOWN_EXECUTION = 1  # of an order that is not in the table
    UNKNOWN_BUST = 2  # of an execution that is not known (any more)
    UNKNOWN_ORDER = 3  # the venue has accepted an order of our account that is not in the table: see ``strangers``
    MISSING_ORDER = 4  # one that the venue had accepted, and now says that it has never seen
    MISSING_REPORTS = 5  # the venue cannot send again what it has reported since: so many messages
    POSITION_DIFFERS = 6  # what is held by a statement from outside


class TimeInForce(IntEnum):
    DAY = 0
    IOC = 1


POST_ONLY = 8  # bits of an order's ``flags`` beside its TimeInForce (and its Mark): it never takes,
PEGGED = 64  # or it rests unseen at the midpoint


class Command(IntEnum):
    START = 1
    PAUSE = 2  # no new orders; working ones are cancelled
    STOP = 3  # working orders are cancelled, the kernel is no longer called, positions stay
    FLATTEN = 4  # every target becomes zero; reduces only; stops when flat
    RESOLVE_BREAK = 5  # argument: instrument, -1 for what concerns all; ref: the break's value as a person saw it
    REENABLE = 6  # level (and argument: the desk or the instrument) trades on after repeated executions; by ``person``
    KILL = 7  # argument: KillLevel, scope: Scope, ref: its key, epoch; see engine.core.kill
    REARM = 8  # scope, ref, epoch; by two persons (the SIGNATURE before it)
    OPEN_BREAK = 10  # level: Break, argument: instrument, ref: the break's value; by the core alone
    HUNG = 9  # a kernel that the record before this one woke never came back: replay does not call it


class BlobType(IntEnum):
    MANIFEST = 1  # JSON of engine.messages.Manifest
    PARAMETERS = 2  # the strategy's parameter record
    LIMITS = 3  # JSON of engine.core.limit_tables: a signed bundle for the firm, a StrategyLimits for a strategy
    ARTIFACT = 4  # what ``prepare`` made
    INSTRUMENTS = 5  # JSON: the instrument table of this journal
    SETTINGS = 6  # JSON: the engine's fee_per_share, timer_interval, reprice_after and hang_after
    CARRIED = 7  # JSON of engine.core.carry: positions and open orders of an earlier journal
    VENUE_FEES = 8  # JSON: for each venue [money a share that adds, a share that takes]; negative is a rebate
    SYMBOL_CHANGE = 9  # JSON: {"instrument": index, "symbol": its new name}
    PLAN = 10  # one SCHEDULE record (engine.core.schedules) by which the strategy's parents are worked; empty: none
    SIGNATURE = 11  # JSON of engine.core.signature: who gives the command that follows
    VENUES = 12  # JSON: list of engine.core.venues.VenueTerms, the venues that are traded at, in their order


_HEADER = {
    "ts_event": ("<i8", 0),
    "ts_recv": ("<i8", 8),
    "instrument": ("<i4", 16),
    "kind": ("i1", 20),
    "side": ("i1", 21),
    "venue": ("i1", 22),
    "flags": ("i1", 23),
}
_PAYLOAD: dict[int, tuple[str, ...]] = {
    24: ("order_id", "bid", "open", "code", "deadline", "command", "blob_type")
    + ("position", "parent_id", "pair", "equity", "messages", "crossed_ns"),
    32: ("price", "bid_size", "high", "date", "value", "argument", "length", "average_cost", "target", "z_micro")
    + ("missing", "unrealised", "order_state", "gaps", "outliers", "numerator", "due", "action"),
    40: ("qty", "ask", "low", "level", "digest", "realised", "spread_micro", "filled", "recovered", "latency_p50")
    + ("denominator", "planned", "scope", "rate"),
    48: ("ref", "ask_size", "close", "order_value", "fees", "hedge_micro", "gross", "reason")
    + ("duplicates", "latency_p99", "person", "amount", "done"),
    56: ("strategy", "volume", "sequence", "stale_ns", "latency_max", "epoch"),
}


def _event_dtype() -> np.dtype:
    fields = dict(_HEADER)
    for offset, names in _PAYLOAD.items():
        fields.update(dict.fromkeys(names, ("<i8", offset)))
    return np.dtype(
        {
            "names": list(fields),
            "formats": [code for code, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": 64,
        }
    )


EVENT = _event_dtype()
EVENT_BYTES = EVENT.itemsize


def timer_event(ts: int, deadline: int) -> np.ndarray:
    """EVENT[1]: the step's own deadline has come."""
    event = np.zeros(1, EVENT)
    event["ts_event"] = event["ts_recv"] = ts
    event["instrument"], event["kind"], event["deadline"] = -1, Kind.TIMER, deadline
    return event


def command_event(ts: int, command: Command, strategy: int) -> np.ndarray:
    """EVENT[1]: a person's or the core's word to a strategy."""
    event = np.zeros(1, EVENT)
    event["ts_event"] = event["ts_recv"] = ts
    event["instrument"], event["kind"] = -1, Kind.COMMAND
    event["command"], event["strategy"] = command, strategy
    return event
