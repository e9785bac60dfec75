"""Cancelling without a core: what worked is read from the journal, and ended over a second order session.

For the firm, the venue or a symbol one Mass Cancel (OUCH 5.0 section 2.5) goes out before anything is read; the open
orders of a desk or a strategy are known from the journal alone, and are cancelled one by one.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.configuration import Account
from engine.core.events import BlobType
from engine.core.kill import Scope
from engine.core.signature import digest_of
from engine.errors import BadInput
from engine.live.carry_over import Estate
from engine.live.config import Config, load_account, read_json
from engine.live.journal import Reader
from engine.live.kill_latch import count_query
from engine.live.recovery import InputTracker, new_inputs
from engine.live.scopes import scope_of
from engine.live.second_session import SecondSession, SessionFailed
from engine.protocols import ouch
from engine.protocols.ouch_events import FIRM_LETTERS
from engine.strategies.load import decode_manifest

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
TAKES = 1 << 18  # records at a time


@dataclass(frozen=True)
class Outcome:
    """``orders_before`` may have worked, by the journal; ``acknowledged`` of them have ended, by the venue's word."""

    orders_before: int
    acknowledged: int
    reason: str = ""  # why the venue was not reached

    @property
    def unacknowledged(self) -> int:
        return self.orders_before - self.acknowledged


@dataclass(frozen=True)
class _Known:
    """What the journal says of a venue: shares that are left of each order of the scope that may work there, and where
    its stream is."""

    leaves: dict[int, int]
    order_sequence: int


@dataclass(frozen=True)
class _Venue:
    """Where one venue is asked; ``give_up`` is the moment by which it has answered."""

    config: Config
    number: int
    address: tuple[str, int]
    account: Account
    give_up: float

    @property
    def name(self) -> str:
        return self.config.venues[self.number].name

    def session(self, next_sequence: int) -> SecondSession:
        count = partial(count_query, self.config.folder, self.number)
        return SecondSession(
            self.address, self.account, next_sequence=next_sequence, give_up=self.give_up, before_query=count
        )


def cancel_without_core(config: Config, scope: str, give_up: float) -> Outcome:
    """Ends what works in ``scope``, at each venue. ``give_up`` is the moment (monotonic, seconds) by which it
    returns."""
    kind, key = scope_of(scope, config.symbols, config.venue_names)
    numbers = [key] if kind is Scope.VENUE else range(len(config.venues))
    venues = [_venue(config, number, give_up) for number in numbers]
    failures = {}
    if kind in (Scope.FIRM, Scope.VENUE, Scope.SYMBOL):
        symbol = scope.partition(":")[2].strip() if kind is Scope.SYMBOL else ""
        failures = {venue.number: _mass_cancel(venue, symbol) for venue in venues}
    before = ended = 0
    reasons = []
    for venue, known in zip(venues, _read_journal(config, kind, scope, numbers), strict=True):
        before += len(known.leaves)
        try:
            ended += _cancel_each(venue, known)
        except SessionFailed as error:
            log.error("%s: %s", venue.name, error)
            reasons.append(failures.get(venue.number) or str(error))
    return Outcome(before, ended, "; ".join(reasons))


def _venue(config: Config, number: int, give_up: float) -> _Venue:
    one = config.venues[number]
    ports = read_json(one.ports_file) or {}
    return _Venue(config, number, (LOOPBACK, int(ports.get("ouch", 0))), load_account(one.account_file), give_up)


def _mass_cancel(venue: _Venue, symbol: str) -> str:
    """One message for all orders; why it could not be sent, "" where it was."""
    try:
        session = venue.session(0)
        session.send(ouch.MassCancel(session.next_id(), venue.account.username[:FIRM_LETTERS], symbol, appendage=()))
        session.next_id()
        session.close()
    except SessionFailed as error:
        log.error("mass cancel at %s: %s", venue.name, error)
        return str(error)
    return ""


def _cancel_each(venue: _Venue, known: _Known) -> int:
    """Hears all that the journal has not, cancels what is left then; how many of the known orders have ended."""
    session = venue.session(known.order_sequence + 1)
    leaves = dict(known.leaves)
    next_id = _settle(session, leaves)
    for order_id in [one for one in leaves if one >= next_id]:
        del leaves[order_id]  # it never arrived
    for order_id in leaves:
        session.send(ouch.CancelOrder(order_id))
    if leaves:
        _settle(session, leaves)
    session.close()
    return len(known.leaves) - len(leaves)


def _settle(session: SecondSession, leaves: dict[int, int]) -> int:
    """Takes what the venue says off ``leaves`` until it has caught up; the id that it expects next."""
    for message in session.until_query_answered():
        if isinstance(message, ouch.Rejected):
            leaves.pop(message.user_ref_num, None)
        elif isinstance(message, ouch.Executed | ouch.Canceled):
            _take_off(leaves, message.user_ref_num, message.quantity)
        elif isinstance(message, ouch.AiqCanceled):
            _take_off(leaves, message.user_ref_num, message.decrement_shares)
        elif isinstance(message, ouch.Replaced) and message.orig_user_ref_num in leaves:
            del leaves[message.orig_user_ref_num]
            leaves[message.user_ref_num] = message.quantity
    assert isinstance(message, ouch.AccountQueryResponse)
    return message.next_user_ref_num


def _take_off(leaves: dict[int, int], order_id: int, shares: int) -> None:
    if order_id in leaves:
        leaves[order_id] -= shares
        if leaves[order_id] <= 0:
            del leaves[order_id]


def _read_journal(config: Config, kind: Scope, scope: str, venues: Iterable[int]) -> list[_Known]:
    """Of each of ``venues``. Raises JournalDamaged."""
    try:
        reader = Reader(Path(config.journal))
    except BadInput:
        return [_Known({}, 0) for _ in venues]
    estate, inputs, position, began = Estate(), InputTracker(new_inputs()), 0, time.monotonic()
    while len(records := reader.read(position, TAKES)):
        estate.take(position + 1, records)
        inputs.take(records)
        position += len(records)
    log.info("%d journal records read in %.2f s", position, time.monotonic() - began)
    _, key = scope_of(scope, config.symbols, config.venue_names)
    chosen, leaves = _slots(estate, kind, key), defaultdict[int, dict[int, int]](dict)
    for order in estate.carried(reader.journal).orders:
        if order.strategy in chosen and (kind is not Scope.SYMBOL or order.instrument == key):
            leaves[order.venue][order.order_id] = order.qty - order.filled
    return [_Known(leaves[venue], inputs.states[venue].order_sequence) for venue in venues]


def _slots(estate: Estate, kind: Scope, key: int) -> set[int]:
    """Slots whose strategy the scope covers."""
    chosen = set()
    for (slot, blob_type), found in estate.blobs.items():
        if blob_type is not BlobType.MANIFEST:
            continue
        manifest = decode_manifest(found.payload)
        name = manifest.desk if kind is Scope.DESK else manifest.name or manifest.strategy
        if kind not in (Scope.DESK, Scope.STRATEGY) or digest_of(name) == key:
            chosen.add(slot)
    return chosen
