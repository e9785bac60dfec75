"""The kill ladder's latches: what is killed, how far, and what may still be sent there.

pause < reduce-only < cancel < flatten < disconnect, for the firm, a desk, a strategy, a symbol or a venue. Where
several latches cover an order the highest level holds. A latch is part of the state, so journal, snapshot and the next
journal keep it. A kill only ever raises it; two persons, none of whom killed it, take it off again (REARM).

Each command names an epoch (ms UTC when it was given, above every epoch before). A re-armed latch remembers its own, so
that an older kill that comes late does not latch it again; the engine's newest epoch never goes back.

Cancels are never blocked by anything here.
"""

from enum import IntEnum

import numpy as np

from engine.core.compiled import njit

LATCHES = 128
KILLERS = 4


class KillLevel(IntEnum):
    ARMED = 0
    PAUSE = 1  # nothing new is sent; what works stays
    REDUCE_ONLY = 2  # only what takes a position down is sent; what works and would add to one is cancelled
    CANCEL = 3  # nothing is sent, everything that works is cancelled
    FLATTEN = 4  # everything that works is cancelled, then positions are closed
    DISCONNECT = 5  # as CANCEL, and then the order session is closed and stays so


class Scope(IntEnum):
    """What a latch covers; its key is 0, a desk's or a strategy's digest, an instrument, a venue."""

    FIRM = 0
    DESK = 1
    STRATEGY = 2
    SYMBOL = 3
    VENUE = 4


LATCH = np.dtype(
    [
        ("scope", "<i8"),
        ("key", "<i8"),
        ("level", "<i8"),
        ("epoch", "<i8"),
        ("killers", "<i8", (KILLERS,)),  # digests of who killed it, 0 for nobody
    ]
)
# ``latched`` counts the latches with a level: while it is 0, nobody looks further.
KILLS = np.dtype([("epoch", "<i8"), ("count", "<i8"), ("latched", "<i8"), ("latches", LATCH, (LATCHES,))])

ARMED, PAUSE, REDUCE_ONLY = int(KillLevel.ARMED), int(KillLevel.PAUSE), int(KillLevel.REDUCE_ONLY)
CANCEL, FLATTEN, DISCONNECT = int(KillLevel.CANCEL), int(KillLevel.FLATTEN), int(KillLevel.DISCONNECT)
FIRM, DESK, STRATEGY = int(Scope.FIRM), int(Scope.DESK), int(Scope.STRATEGY)
SYMBOL, VENUE = int(Scope.SYMBOL), int(Scope.VENUE)


@njit(cache=True, inline="always")
def kill_level(state, strategy, instrument, venue):
    """The highest level that holds for an order of ``strategy`` in ``instrument`` at ``venue``."""
    return _highest(state, strategy, instrument, venue) if state.kills.latched else ARMED


@njit(cache=True)
def _highest(state, strategy, instrument, venue):
    level = ARMED
    for index in range(state.kills.count):
        latch = state.kills.latches[index]
        if latch.level > level and _covers(latch, state.slots[strategy], instrument, venue):
            level = latch.level
    return level


@njit(cache=True)
def _covers(latch, slot, instrument, venue):
    if latch.scope == DESK:
        return slot.desk_key == latch.key
    if latch.scope == STRATEGY:
        return slot.strategy_key == latch.key
    if latch.scope == SYMBOL:
        return instrument == latch.key
    return latch.scope == FIRM or venue == latch.key


@njit(cache=True)
def shares_permitted(level, target, position):
    """Shares (signed) that may be traded towards ``target`` at ``level``."""
    if level == ARMED:
        return target - position
    if level == FLATTEN:
        return -position
    wanted = target - position
    if level != REDUCE_ONLY or wanted * position >= 0:
        return 0
    return -position if abs(wanted) > abs(position) else wanted


@njit(cache=True)
def latch_of(state, scope, key):
    """Index of the latch of a scope, made where there was none. With no room left it is the firm's: a kill is never
    refused for want of a place."""
    kills = state.kills
    oldest = -1
    for index in range(kills.count):
        latch = kills.latches[index]
        if latch.scope == scope and latch.key == key:
            return index
        if latch.level == ARMED and (oldest < 0 or latch.epoch < kills.latches[oldest].epoch):
            oldest = index
    if kills.count < LATCHES:
        oldest = kills.count
        kills.count += 1
    elif oldest < 0:
        return _firm_in_full_table(kills)
    latch = kills.latches[oldest]
    latch.scope, latch.key, latch.level, latch.epoch = scope, key, ARMED, 0
    latch.killers[:] = 0
    return oldest


@njit(cache=True)
def _firm_in_full_table(kills):
    """The first latch becomes the firm's, which covers what it covered."""
    for index in range(kills.count):
        if kills.latches[index].scope == FIRM:
            return index
    kills.latches[0].scope, kills.latches[0].key = FIRM, 0
    return 0


@njit(cache=True)
def raise_latch(state, scope, key, level, epoch, killer):
    """Kills; the latch's index, or -1 when it has been re-armed by a later command (then nothing is changed)."""
    index = latch_of(state, scope, key)
    latch = state.kills.latches[index]
    if latch.level == ARMED and epoch <= latch.epoch:
        return -1
    if latch.level == ARMED:
        state.kills.latched += 1
    latch.level = max(latch.level, level)
    latch.epoch = max(latch.epoch, epoch)
    state.kills.epoch = max(state.kills.epoch, epoch)
    _note_killer(latch, killer)
    return index


@njit(cache=True)
def _note_killer(latch, killer):
    for place in range(KILLERS):
        if latch.killers[place] == killer:
            return
        if latch.killers[place] == 0 or place == KILLERS - 1:
            latch.killers[place] = killer
            return


@njit(cache=True)
def lower_latch(state, scope, key, epoch, signers):
    """Re-arms; the latch's index, or -1 when that is not for these persons, or not the newest word."""
    if signers[0] == 0 or signers[1] == 0 or signers[0] == signers[1]:
        return -1
    index = latch_of(state, scope, key)
    latch = state.kills.latches[index]
    if epoch <= latch.epoch or latch.level == ARMED:
        return -1
    for place in range(KILLERS):
        if latch.killers[place] != 0 and (latch.killers[place] == signers[0] or latch.killers[place] == signers[1]):
            return -1
    latch.level, latch.epoch = ARMED, epoch
    latch.killers[:] = 0
    state.kills.latched -= 1
    state.kills.epoch = max(state.kills.epoch, epoch)
    return index
