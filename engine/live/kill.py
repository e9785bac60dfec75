"""Killing from the engine host: through the core, or without it when it does not answer.

The core is asked first. If it stays silent, then in this order: the latch file is written, which the next core applies
before anything is sent; the core's process is ended; what works is cancelled over a second order session. The proof
says how many orders worked, how many of them have ended by the venue's word, and how long that took.
"""

import logging
import os
import signal
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.live.config import Config
from engine.live.control import ask, connect
from engine.live.kill_latch import add_to_latch_file, note_hang
from engine.live.mass_cancel import Outcome, cancel_without_core
from engine.live.person_commands import MS, kill_request
from engine.live.scopes import LEVELS, checked_level, scope_of
from engine.live.startup import core_process
from engine.messages import KillOrder

log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds that a core may be silent
WAIT = 5.0  # seconds that the venue may take
POLL = 0.001
END_SECONDS = 5.0


@dataclass(frozen=True)
class Proof:
    """``through``: "core", or "second session" when the core was silent, or "latch file" when nothing was to be
    cancelled then. ``strategies``: how many of the scope are here, -1 where nobody could say."""

    scope: str
    level: str
    epoch: int
    orders_before: int
    acknowledged: int
    unacknowledged: int
    ms: float
    through: str
    strategies: int = -1
    core_ended: bool = False
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.unacknowledged == 0 and self.strategies != 0 and not self.reason, **asdict(self)}


def kill(config: Config, order: KillOrder, *, via: str, patience: float = PATIENCE, wait: float = WAIT) -> Proof:
    """Gives ``order`` (``epoch`` 0: the newest). Returns within ``patience`` + ``wait`` (seconds) and the time that a
    process needs to end and a journal to be read.

    Raises BadInput for an order that means nothing here or a re-arming that is refused, CoreSilent for a re-arming that
    no core can take.
    """
    scope, _ = scope_of(order.scope, config.symbols, config.venue_names)
    if order.level != "armed":
        checked_level(order.level, scope)
    began = time.monotonic()
    try:
        return _through_core(config, order, via, began, patience, wait)
    except OSError as error:
        if order.level == "armed":
            raise CoreSilent(f"the core does not answer ({error}): only a core that runs is re-armed") from error
        log.error("the core does not answer (%s)", error or "silence")
    return _without_core(config, order, began, wait)


class CoreSilent(ConnectionError):
    """There is no core to take a command that only a core can take."""


def _through_core(config: Config, order: KillOrder, via: str, began: float, patience: float, wait: float) -> Proof:
    header, payload = kill_request(order, via=via)
    with closing(connect(config.folder)) as connection:
        connection.settimeout(patience)
        answer = ask(connection, b"R" + header.tobytes() + payload)
        question = b"W" + msgspec.json.encode({"scope": order.scope, "below": answer["below"]})
        left, give_up = answer["asked"], began + patience + wait
        while left and time.monotonic() < give_up:
            left = ask(connection, question)["unacknowledged"]
            if left:
                time.sleep(POLL)
    return Proof(
        scope=order.scope,
        level=order.level,
        epoch=answer["epoch"],
        orders_before=answer["orders_before"],
        acknowledged=answer["asked"] - left,
        unacknowledged=left,
        ms=_since(began),
        through="core",
        strategies=answer["strategies"],
    )


def _without_core(config: Config, order: KillOrder, began: float, wait: float) -> Proof:
    if not order.epoch:
        order = msgspec.structs.replace(order, epoch=time.time_ns() // MS)
    config.folder.mkdir(parents=True, exist_ok=True)
    add_to_latch_file(config.folder, order)
    # A core that does not listen yet has not read the latch file, and sends nothing before it has.
    process = core_process(config) if _listens(config) else 0
    if process:
        note_hang(config.folder, config.journal)
        _end(config, process)
    through, outcome = "latch file", Outcome(0, 0)
    if LEVELS[order.level] >= LEVELS["cancel"]:
        through, outcome = "second session", cancel_without_core(config, order.scope, time.monotonic() + wait)
    return Proof(
        scope=order.scope,
        level=order.level,
        epoch=order.epoch,
        orders_before=outcome.orders_before,
        acknowledged=outcome.acknowledged,
        unacknowledged=outcome.unacknowledged,
        ms=_since(began),
        through=through,
        core_ended=bool(process),
        reason=outcome.reason,
    )


def _listens(config: Config) -> bool:
    try:
        connect(config.folder).close()
    except OSError:
        return False
    return True


def _end(config: Config, process: int) -> None:
    """SIGKILL by process id, held so that it cannot come to mean another one. Raises BadInput when it does not end."""
    try:
        held = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        if core_process(config) == process:
            signal.pidfd_send_signal(held, signal.SIGKILL)
            log.error("core %d was ended", process)
    except ProcessLookupError:
        return
    finally:
        os.close(held)
    give_up = time.monotonic() + END_SECONDS
    while core_process(config) == process:
        if time.monotonic() > give_up:
            raise BadInput("core_does_not_end", "core", process, "a process that ends by SIGKILL")
        time.sleep(POLL)


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1_000, 3)
