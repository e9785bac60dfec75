"""Cancelling without a core: what worked is read from the journal, and ended over a second order session.

For the firm, the venue or a symbol one Mass Cancel (OUCH 5.0 section 2.5) goes out before anything is read; the open
orders of a desk or a strategy are known from the journal alone, and are cancelled one by one.
"""

import logging
import time
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
from engine.live.recovery import InputState, InputTracker
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
    """What the journal says: shares that are left of each order of the scope that may work, and where the stream is."""

    leaves: dict[int, int]
    order_sequence: int


def cancel_without_core(config: Config, scope: str, give_up: float) -> Outcome:
    """Ends what works in ``scope``. ``give_up`` is the moment (monotonic, seconds) by which it returns."""
    account = load_account(config.venue.account_file)
    ports = read_json(config.venue.ports_file) or {}
    address = (LOOPBACK, int(ports.get("ouch", 0)))
    kind, _ = scope_of(scope, config.symbols, config.venue.name)
    failure = ""
    if kind in (Scope.FIRM, Scope.VENUE, Scope.SYMBOL):
        symbol = scope.partition(":")[2].strip() if kind is Scope.SYMBOL else ""
        failure = _mass_cancel(config, address, account, symbol, give_up)
    known = _read_journal(config, kind, scope)
    try:
        ended = _cancel_each(config, address, account, known, give_up)
    except SessionFailed as error:
        log.error("%s", error)
        return Outcome(len(known.leaves), 0, failure or str(error))
    return Outcome(len(known.leaves), ended)


def _mass_cancel(config: Config, address: tuple[str, int], account: Account, symbol: str, give_up: float) -> str:
    """One message for all orders; why it could not be sent, "" where it was."""
    try:
        session = _session(config, address, account, 0, give_up)
        session.send(ouch.MassCancel(session.next_id(), account.username[:FIRM_LETTERS], symbol, appendage=()))
        session.next_id()
        session.close()
    except SessionFailed as error:
        log.error("mass cancel: %s", error)
        return str(error)
    return ""


def _cancel_each(config: Config, address: tuple[str, int], account: Account, known: _Known, give_up: float) -> int:
    """Hears all that the journal has not, cancels what is left then; how many of the known orders have ended."""
    session = _session(config, address, account, known.order_sequence + 1, give_up)
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


def _session(
    config: Config, address: tuple[str, int], account: Account, next_sequence: int, give_up: float
) -> SecondSession:
    count = partial(count_query, config.folder)
    return SecondSession(address, account, next_sequence=next_sequence, give_up=give_up, before_query=count)


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


def _read_journal(config: Config, kind: Scope, scope: str) -> _Known:
    """Raises JournalDamaged."""
    try:
        reader = Reader(Path(config.journal))
    except BadInput:
        return _Known({}, 0)
    estate, inputs, position, began = Estate(), InputTracker(InputState()), 0, time.monotonic()
    while len(records := reader.read(position, TAKES)):
        estate.take(position + 1, records)
        inputs.take(records)
        position += len(records)
    log.info("%d journal records read in %.2f s", position, time.monotonic() - began)
    _, key = scope_of(scope, config.symbols, config.venue.name)
    chosen = _slots(estate, kind, key)
    leaves = {
        order.order_id: order.qty - order.filled
        for order in estate.carried(reader.journal).orders
        if order.strategy in chosen and (kind is not Scope.SYMBOL or order.instrument == key)
    }
    return _Known(leaves, inputs.state.order_sequence)


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
