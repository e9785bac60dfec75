"""Order entry: OUCH 5.0 messages of the accounts in, matching, and what each account is told.

Everything an account is told goes into the record first (``Record.add``); the caller commits before it sends.
What the specification has the exchange ignore (a UserRefNum that does not rise, a cancel of an order that is done) is
ignored and counted; so is what cannot be decoded.
"""

import logging
from collections import Counter
from typing import Any

import msgspec
import numpy as np

from engine.protocols import ouch
from engine.protocols.layout import WireError
from engine.simulation import flow, matching, matching_records
from engine.simulation.faults import Chance, stream
from engine.simulation.fees import NO_FEES, Fees
from engine.simulation.matching_records import Reason
from engine.simulation.order_instructions import (
    CANCEL_REASONS,
    CANCELED_BY_USER,
    CANCELED_SYSTEM,
    SIDES,
    RejectReason,
    new_order,
    options,
    why_refused,
)
from engine.simulation.record import Entry, Record

log = logging.getLogger(__name__)

# Appendix D, by the queue in which the resting order stood: displayed, hidden, midpoint.
MAKER_FLAGS, TAKER_FLAGS = ("A", "J", "k"), ("R", "R", "m")
CROSS_FLAGS = {"O": "O", "C": "C", "H": "K"}  # by the cross type of ITCH
REFRESH_OF_DISPLAY = "R"


class Live(msgspec.Struct):
    """An order that is working."""

    entered: ouch.EnterOrder
    instrument: int
    reference: int
    remaining: int
    executed: int = 0  # over the whole chain of replaces


class Now(msgspec.Struct):
    """The moment everything is stamped with."""

    trade_date: int = 0
    ts: int = 0  # ns UTC, session clock
    midnight: int = 0
    open: bool = False

    @property
    def since_midnight(self) -> int:
        return self.ts - self.midnight


class OrderEntry:
    """All accounts of one exchange.

    A ``dark`` one takes midpoint orders alone.
    ``halted`` holds the indexes of symbols that do not trade today; others are halted by their book's phase.
    """

    def __init__(
        self,
        symbols: list[str],
        accounts: list[str],
        books: np.record,
        crowd: np.record,
        record: Record,
        fees: Fees = NO_FEES,
        *,
        dark: bool = False,
    ) -> None:
        self.fees, self._dark = fees, dark
        self.refuses = Chance(0.0, stream(0, "reject"))  # for no reason that the order gives
        self.symbols, self.accounts, self.record = symbols, accounts, record
        self.instruments = {symbol: index for index, symbol in enumerate(symbols)}
        self.counters: Counter[str] = Counter()
        self.now = Now()
        self.halted: set[int] = set()
        self.cross_flag = CROSS_FLAGS["O"]  # of the auction that is being held
        self.reports = matching_records.report_buffer()
        self._books, self._crowd = books, crowd
        self._incoming = 0  # reference of the order that came in last
        self._live: dict[tuple[str, int], Live] = {}
        self._last_user_ref_num = {name: record.streams[name].last_user_ref_num for name in accounts}
        self._disabled = {name for name in accounts if record.streams[name].disabled}
        self._handlers: dict[type, Any] = {
            ouch.EnterOrder: self._enter,
            ouch.ReplaceOrder: self._replace,
            ouch.CancelOrder: self._cancel,
            ouch.ModifyOrder: self._modify,
            ouch.MassCancel: self._mass_cancel,
            ouch.DisableOrderEntry: self._disable,
            ouch.EnableOrderEntry: self._enable,
            ouch.AccountQuery: self._query,
        }

    @property
    def working(self) -> int:
        return len(self._live)

    def on_message(self, account: str, payload: bytes) -> int:
        """Handles one message; returns how many of ``reports`` the market data has to show.

        A message that cannot be decoded is counted under ``malformed`` and changes nothing.
        """
        try:
            message = ouch.decode_inbound(payload)
        except WireError as error:
            self.counters["malformed"] += 1
            log.warning("%s sent a message that is no OUCH message: %s", account, error)
            return 0
        return self._handlers[type(message)](account, message)

    # ---- what accounts ask for ---------------------------------------------------------------------

    def _rises(self, account: str, user_ref_num: int) -> bool:
        """Takes a UserRefNum, unless it is not above the account's last one (section 2.1: ignored)."""
        if user_ref_num <= self._last_user_ref_num[account]:
            self.counters["user_ref_num_not_rising"] += 1
            return False
        self._last_user_ref_num[account] = user_ref_num
        return True

    def _enter(self, account: str, order: ouch.EnterOrder) -> int:
        if not self._rises(account, order.user_ref_num):
            return 0
        reason = self._why_refused(account, order)
        if reason is not None:
            self._reject(account, order, reason)
            return 0
        instrument = self.instruments[order.symbol]
        n = self._match(account, order, instrument, order.quantity, 0)
        if int(self.reports[0]["kind"]) == matching_records.REFUSED:
            self._reject(account, order, RejectReason.PROCESSING_ERROR)
            return 0
        self._live[account, order.user_ref_num] = Live(
            order, instrument, int(self.reports[0]["reference"]), order.quantity
        )
        accepted = _echo(ouch.Accepted, order, self.now.since_midnight, int(self.reports[0]["reference"]))
        self._tell("order", account, accepted, order, qty=order.quantity)
        self.tell_owners(n)
        return n

    def _match(self, account: str, order: ouch.EnterOrder, instrument: int, qty: int, first: int) -> int:
        new = new_order(order, instrument, qty, self.accounts.index(account) + 1)
        n = matching.enter_order(self._books, new, self.reports, first)
        flow.absorb(self._crowd, self.reports, first, n)
        self._incoming = int(self.reports[first]["reference"])
        return n

    def _why_refused(self, account: str, order: ouch.EnterOrder) -> RejectReason | None:
        instrument = self.instruments.get(order.symbol)
        if self.refuses.strikes():
            return RejectReason.PROCESSING_ERROR
        if account in self._disabled:
            return RejectReason.FIRM_NOT_AUTHORIZED
        if not self.now.open:
            return RejectReason.DESTINATION_CLOSED
        if instrument is None:
            return RejectReason.INVALID_SYMBOL
        phase = int(self._books["phase"][instrument])
        if instrument in self.halted or phase == matching_records.HALTED:
            return RejectReason.HALTED
        reason = why_refused(order)
        if reason is None and self._dark and options(order).get("price_type") != "M":
            return RejectReason.INVALID_PEG_TYPE  # its quotes are other venues'
        collecting = phase == matching_records.COLLECTING
        if reason is None and (
            order.cross_type in "OH" and not collecting or order.time_in_force == "3" and collecting
        ):
            return RejectReason.INVALID_CROSS_ORDER if order.cross_type in "OH" else RejectReason.HALTED
        return reason

    def _cancel(self, account: str, cancel: ouch.CancelOrder) -> int:
        live = self._live.get((account, cancel.user_ref_num))
        if live is None:
            self.counters["cancel_of_done_order"] += 1
            return 0
        return self._cut(live, cancel.quantity - live.executed, CANCELED_BY_USER)

    def _cut(self, live: Live, keep: int, reason: str) -> int:
        n = matching.reduce(self._books, live.reference, keep, self.reports, 0)
        self.tell_owners(n, reason)
        return n

    def _replace(self, account: str, replace: ouch.ReplaceOrder) -> int:
        if not self._rises(account, replace.user_ref_num):
            return 0
        old = self._live.get((account, replace.orig_user_ref_num))
        if old is None:
            self.counters["replace_of_done_order"] += 1
            return 0
        order = msgspec.structs.replace(
            old.entered,
            user_ref_num=replace.user_ref_num,
            quantity=replace.quantity,
            price=replace.price,
            time_in_force=replace.time_in_force,
            display=replace.display,
            intermarket_sweep=replace.intermarket_sweep,
            cl_ord_id=replace.cl_ord_id,
            appendage=replace.appendage,
        )
        reason = self._why_refused(account, order)
        if reason is not None:
            self._reject(account, order, reason)
            return 0
        open_qty = replace.quantity - old.executed  # the quantity counts what the chain has executed already
        if open_qty <= 0:
            return self._cut(old, 0, CANCELED_BY_USER)
        first = matching.reduce(self._books, old.reference, 0, self.reports, 0)
        del self._live[account, replace.orig_user_ref_num]
        n = self._match(account, order, old.instrument, open_qty, first)
        reference = int(self.reports[first]["reference"])
        self._live[account, order.user_ref_num] = Live(order, old.instrument, reference, open_qty, old.executed)
        outstanding = msgspec.structs.replace(order, quantity=open_qty)
        replaced = _echo(
            ouch.Replaced,
            outstanding,
            self.now.since_midnight,
            reference,
            orig_user_ref_num=replace.orig_user_ref_num,
        )
        self._tell("replace", account, replaced, order, qty=open_qty, replaces=replace.orig_user_ref_num)
        self.tell_owners(n, first=first)
        return n

    def _modify(self, account: str, modify: ouch.ModifyOrder) -> int:
        """Changes between the kinds of sell, and cuts the size; anything else is ignored, as section 2.4 says."""
        live = self._live.get((account, modify.user_ref_num))
        keep = modify.quantity - live.executed if live else 0
        sells = {"S", "T", "E"}
        same = live is not None and (modify.side == live.entered.side or {modify.side, live.entered.side} <= sells)
        if live is None or not same or not 0 < keep <= live.remaining:
            self.counters["modify_ignored"] += 1
            return 0
        n = matching.reduce(self._books, live.reference, keep, self.reports, 0)
        live.entered = msgspec.structs.replace(live.entered, side=modify.side)
        live.remaining = keep
        modified = ouch.Modified(self.now.since_midnight, modify.user_ref_num, modify.side, keep)
        self._tell("modify", account, modified, live.entered, qty=keep)
        return n

    def _mass_cancel(self, account: str, request: ouch.MassCancel) -> int:
        if not self._rises(account, request.user_ref_num):
            return 0
        answer = ouch.MassCancelResponse(
            self.now.since_midnight, request.user_ref_num, request.firm, request.symbol, appendage=()
        )
        self._tell("mass_cancel", account, answer, None, user_ref_num=request.user_ref_num, symbol=request.symbol)
        covered = [
            live.reference
            for (owner, _), live in self._live.items()
            if owner == account and request.symbol in ("", live.entered.symbol)
        ]
        n = int(matching.delete_each(self._books, np.array(covered, np.int64), self.reports, 0))
        self.tell_owners(n, CANCELED_BY_USER)
        return n

    def _disable(self, account: str, request: ouch.DisableOrderEntry) -> int:
        if self._rises(account, request.user_ref_num):
            self._disabled.add(account)
            answer = ouch.DisableOrderEntryResponse(self.now.since_midnight, request.user_ref_num, request.firm)
            self._tell("disable", account, answer, None, user_ref_num=request.user_ref_num)
        return 0

    def _enable(self, account: str, request: ouch.EnableOrderEntry) -> int:
        if self._rises(account, request.user_ref_num):
            self._disabled.discard(account)
            answer = ouch.EnableOrderEntryResponse(self.now.since_midnight, request.user_ref_num, request.firm)
            self._tell("enable", account, answer, None, user_ref_num=request.user_ref_num)
        return 0

    def _query(self, account: str, query: ouch.AccountQuery) -> int:
        answer = ouch.AccountQueryResponse(self.now.since_midnight, self._last_user_ref_num[account] + 1)
        self._tell("account_query", account, answer, None)
        return 0

    # ---- what accounts are told --------------------------------------------------------------------

    def tell_owners(self, n: int, reason: str = CANCELED_BY_USER, first: int = 0) -> None:
        """Tells accounts what ``reports[first:n]`` did to their orders; ``reason`` is for shares taken off."""
        rows = self.reports[first:n]
        for row in rows[(rows["owner"] > 0) | (rows["taker_owner"] > 0)]:
            kind = int(row["kind"])
            if kind == matching_records.EXECUTED:
                self._tell_execution(row, "owner", "tag", MAKER_FLAGS[int(row["queue"])])
                self._tell_execution(row, "taker_owner", "taker_tag", TAKER_FLAGS[int(row["queue"])])
            elif kind == matching_records.CROSSED:
                self._tell_execution(row, "owner", "tag", self.cross_flag)
            elif kind == matching_records.REFRESHED:
                self._tell_refreshed(row)
            elif kind in (matching_records.DELETED, matching_records.REDUCED, matching_records.EXPIRED):
                own_end = CANCEL_REASONS.get(int(row["reason"]))
                self._tell_canceled(row, own_end or reason)

    def _key(self, row: np.void, owner: str, tag: str) -> tuple[str, int]:
        return self.accounts[int(row[owner]) - 1], int(row[tag])

    def _take(self, key: tuple[str, int], qty: int, executed: int) -> ouch.EnterOrder:
        """Takes shares off a working order, which is done when none are left."""
        live = self._live[key]
        live.remaining -= qty
        live.executed += executed
        if live.remaining == 0:
            del self._live[key]
        return live.entered

    def _tell_execution(self, row: np.void, owner: str, tag: str, liquidity: str) -> None:
        if int(row[owner]) == flow.CROWD:
            return
        key, qty, price, match_number = (
            self._key(row, owner, tag),
            int(row["qty"]),
            int(row["price"]),
            int(row["match_number"]),
        )
        order = self._take(key, qty, qty)
        executed = ouch.Executed(self.now.since_midnight, key[1], qty, price, liquidity, match_number)
        fee = self.fees.of(liquidity, qty)
        self._tell("execution", key[0], executed, order, qty=qty, price=price, match_number=match_number, fee=fee)

    def _tell_canceled(self, row: np.void, reason: str) -> None:
        key, qty = self._key(row, "owner", "tag"), int(row["qty"])
        order = self._take(key, qty, 0)
        canceled: ouch.OuchMessage = ouch.Canceled(self.now.since_midnight, key[1], qty, reason)
        if reason == CANCEL_REASONS[Reason.SELF_MATCH]:
            # What the other order's price was is not known here: the price is the order's own.
            strategy = str(options(order).get("aiq_strategy", " "))
            flag = "R" if int(row["reference"]) == self._incoming else "A"
            canceled = ouch.AiqCanceled(
                self.now.since_midnight, key[1], qty, reason, qty, int(row["price"]), flag, strategy
            )
        self._tell("cancel", key[0], canceled, order, qty=qty, reason=reason)

    def _tell_refreshed(self, row: np.void) -> None:
        """An iceberg shows its next slice, under another reference in the market data."""
        key = self._key(row, "owner", "tag")
        shown = ouch.option("secondary_ord_ref_num", int(row["shown"]))
        restated = ouch.Restated(self.now.since_midnight, key[1], REFRESH_OF_DISPLAY, appendage=(shown,))
        self._tell("restated", key[0], restated, self._live[key].entered, qty=int(row["visible"]))

    def _reject(self, account: str, order: ouch.EnterOrder, reason: RejectReason) -> None:
        rejected = ouch.Rejected(self.now.since_midnight, order.user_ref_num, reason.value, order.cl_ord_id)
        self._tell("reject", account, rejected, order, qty=order.quantity, reason=reason.name.lower())

    def tell_all(self, event_code: str) -> None:
        """A system event (S start of day, E end of day) to every account."""
        for account in self.accounts:
            self._tell(
                "system", account, ouch.SystemEvent(self.now.since_midnight, event_code), None, reason=event_code
            )

    def cancel_leftovers(self) -> int:
        """Cancels in the stream what was working when the process ended; returns how many orders that were."""
        leftovers = list(self.record.working.values())
        for left in leftovers:
            canceled = ouch.Canceled(self.now.since_midnight, left.user_ref_num, left.qty, CANCELED_SYSTEM)
            fields = {"symbol": left.symbol, "side": left.side, "price": left.price, "qty": left.qty}
            self._tell(
                "cancel", left.account, canceled, None, user_ref_num=left.user_ref_num, reason=CANCELED_SYSTEM, **fields
            )
        return len(leftovers)

    def _tell(self, kind: str, account: str, message: ouch.OuchMessage, order: ouch.EnterOrder | None, **fields: Any):
        about: dict[str, Any] = {}
        if order is not None:
            side = "buy" if SIDES.get(order.side, -1) > 0 else "sell"
            about = {"user_ref_num": order.user_ref_num, "symbol": order.symbol, "side": side, "price": order.price}
        self.record.add(
            Entry(
                type=kind,
                account=account,
                sequence=self.record.next_sequence(account),
                trade_date=self.now.trade_date,
                ts=self.now.ts,
                message=ouch.encode(message).hex(),
                **(about | fields),
            )
        )


def _echo(cls: type, order: ouch.EnterOrder, timestamp: int, reference: int, **fields: Any) -> ouch.OuchMessage:
    """An Accepted or Replaced that says back what the order says."""
    return cls(
        timestamp=timestamp,
        user_ref_num=order.user_ref_num,
        side=order.side,
        quantity=order.quantity,
        symbol=order.symbol,
        price=order.price,
        time_in_force=order.time_in_force,
        display=order.display,
        order_reference_number=reference,
        capacity=order.capacity,
        intermarket_sweep=order.intermarket_sweep,
        cross_type=order.cross_type,
        order_state="L",
        cl_ord_id=order.cl_ord_id,
        **fields,
    )
