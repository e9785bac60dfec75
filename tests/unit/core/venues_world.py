"""An engine at three lit venues and a dark one, two instruments, one strategy, and the records to drive it with."""

import json

import numpy as np
from engine_world import MINUTE, WIDE, load, record

from engine.core.engine import FIRM, Engine, Loaded
from engine.core.events import BlobType, Command, Kind, Session, TradingStatus
from engine.core.limit_tables import firm_limits, strategy_limits
from engine.core.parents import set_target

A, B, C, DARK = 0, 1, 2, 3
KO, PEP = 0, 1
BID, ASK = 100_000, 100_200
DATE = 20130102
FEES = [[-20, 30], [-15, 25], [18, -12], [0, 10]]  # a share that adds, one that takes
HANG = 1_000_000_000
ORDERS = (Kind.ORDER_NEW, Kind.ORDER_CANCEL, Kind.ORDER_REPLACE)


def at(venue, kind, instrument=-1, side=0, ts=0, **payload):
    event = record(kind, instrument, side, ts, **payload)
    event["venue"] = venue
    return event


class Venues:
    """``count`` of the four venues are traded at; each of the lit ones quotes 300 shares at 10.00 / 10.02."""

    def __init__(self, count=4, kernel=0, interests=frozenset(), firm=WIDE, reprice_after=MINUTE):
        self.engine = Engine(
            lambda manifest: Loaded(kernel, interests, 1_000_000_0000), fee_per_share=30, reprice_after=reprice_after
        )
        self.engine.state["hang_after"] = HANG
        self.inputs: list[np.ndarray] = []
        terms = [{"name": name, "latency_ns": 1000 * n} for n, name in enumerate("ABC")]
        terms = [*terms, {"name": "D", "dark": True, "min_qty": 10}][:count]
        for blob_type, payload, strategy in (
            (BlobType.INSTRUMENTS, json.dumps(["KO", "PEP"]).encode(), FIRM),
            (BlobType.VENUES, json.dumps(terms).encode(), FIRM),
            (BlobType.VENUE_FEES, json.dumps(FEES[:count]).encode(), FIRM),
            (BlobType.LIMITS, firm_limits(firm), FIRM),
            (BlobType.MANIFEST, b"{}", 0),
            (BlobType.LIMITS, strategy_limits(WIDE), 0),
        ):
            load(self.engine, blob_type, payload, strategy)
        self.state = self.engine.state
        self.step(record(Kind.COMMAND, command=Command.START))
        for venue in range(count):
            self.open(venue)

    def step(self, event):
        """What it emits, a copy. Time goes on as the events say."""
        self.inputs.append(event.copy())
        return self.engine.apply(event).copy()

    def open(self, venue):
        self.step(at(venue, Kind.ORDER_SESSION, code=1, ref=1))
        self.step(at(venue, Kind.SESSION, code=Session.START_OF_MESSAGES, date=DATE))
        for instrument in range(2):
            self.step(at(venue, Kind.STATUS, instrument, code=TradingStatus.TRADING))
        self.step(at(venue, Kind.SESSION, code=Session.OPEN, date=DATE))
        if venue != DARK:
            self.quote(venue, 1, BID, 300)
            self.quote(venue, -1, ASK, 300)

    def quote(self, venue, side, price, qty, order_id=0, instrument=KO):
        """One more displayed order; ids of all venues are the same small numbers."""
        order_id = order_id or (1 if side > 0 else 2)
        return self.step(at(venue, Kind.ADD, instrument, side, order_id=order_id, price=price, qty=qty))

    def remove(self, venue, order_id):
        return self.step(at(venue, Kind.DELETE, KO, order_id=order_id))

    def want(self, shares, ts=0, instrument=KO):
        """The outputs of the next market data once ``shares`` are the target."""
        set_target(self.state, 0, instrument, shares)
        return self.poke(ts, instrument)

    def poke(self, ts=0, instrument=KO):
        return self.step(at(A, Kind.TRADE, instrument, ts=ts, price=100_100, qty=1))

    def accept(self, order, ts=0):
        fields = {name: int(order[name]) for name in ("order_id", "price", "qty")}
        return self.step(at(int(order["venue"]), Kind.ACCEPTED, KO, ts=ts, **fields))

    def execute(self, order, qty=0, match=0, ts=0):
        qty = qty or int(order["qty"])
        fields = {"order_id": int(order["order_id"]), "price": int(order["price"]), "qty": qty}
        match = match or int(order["order_id"])
        return self.step(at(int(order["venue"]), Kind.EXECUTION, KO, ts=ts, ref=match, **fields))

    def show(self, venue, order_id=2, ts=0):
        """The venue's feed tells of a share less there."""
        return self.step(at(venue, Kind.REDUCE, KO, ts=ts, order_id=order_id, qty=1))

    def cancel(self, order, qty=0, ts=0):
        fields = {"order_id": int(order["order_id"]), "qty": qty or int(order["qty"]), "reason": ord("I")}
        return self.step(at(int(order["venue"]), Kind.CANCELED, KO, ts=ts, **fields))

    def reject(self, order, ts=0):
        return self.step(at(int(order["venue"]), Kind.REJECTED, KO, ts=ts, order_id=int(order["order_id"]), reason=5))

    def post(self, shares):
        """The buy order that rests at the near touch: ``shares`` are wanted, and all asks are beyond its limit."""
        (order,) = orders(self.want(shares))
        self.accept(order)
        for venue in (A, B, C):
            self.remove(venue, 2)
            self.quote(venue, -1, ASK + 100, 300, order_id=3)
        (posted,) = orders(self.cancel(order))
        self.accept(posted)
        return posted

    @property
    def position(self):
        return int(self.state["positions"][0][KO]["position"])


def orders(outputs):
    return [one for one in outputs if one["kind"] in ORDERS]


def sent(outputs):
    """{venue: (price, shares)} of new orders."""
    new = [one for one in outputs if one["kind"] == Kind.ORDER_NEW]
    return {int(one["venue"]): (int(one["price"]), int(one["qty"])) for one in new}
