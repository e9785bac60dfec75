"""What a kill or a resolution is about, in words and as the engine knows it.

"firm", "desk:NAME", "strategy:NAME", "symbol:S", "venue:V". A desk or a strategy is known by its name's digest, so that
a latch also covers what is deployed later; whether any strategy of that name is there now is the caller's to ask.
"""

from collections.abc import Sequence

from engine.core.kill import KillLevel, Scope
from engine.core.signature import digest_of
from engine.errors import BadInput
from engine.messages import KillLevelName

LEVELS: dict[KillLevelName, KillLevel] = {
    "armed": KillLevel.ARMED,
    "pause": KillLevel.PAUSE,
    "reduce-only": KillLevel.REDUCE_ONLY,
    "cancel": KillLevel.CANCEL,
    "flatten": KillLevel.FLATTEN,
    "disconnect": KillLevel.DISCONNECT,
}
LEVEL_NAMES: dict[int, KillLevelName] = {int(level): name for name, level in LEVELS.items()}
EXPECTED = "firm, desk:NAME, strategy:NAME, symbol:S or venue:V"


def scope_of(text: str, symbols: Sequence[str], venues: Sequence[str]) -> tuple[Scope, int]:
    """The scope and its key. ``symbols`` and ``venues`` in the engine's order.

    Raises BadInput for what this engine does not trade.
    """
    kind, _, name = text.partition(":")
    name = name.strip()
    if text == "firm":
        return Scope.FIRM, 0
    if kind == "desk" and name:
        return Scope.DESK, digest_of(name)
    if kind == "strategy" and name:
        return Scope.STRATEGY, digest_of(name)
    if kind == "symbol" and name:
        if name not in symbols:
            raise BadInput("unknown_symbol", "scope", name, f"one of {', '.join(list(symbols)[:20])}")
        return Scope.SYMBOL, list(symbols).index(name)
    if kind == "venue" and name:
        if name not in venues:
            raise BadInput("unknown_venue", "scope", name, f"one of {', '.join(venues)}")
        return Scope.VENUE, list(venues).index(name)
    raise BadInput("scope", "scope", text, EXPECTED)


def checked_level(name: str, scope: Scope) -> KillLevel:
    """Raises BadInput. Who disconnects a symbol cancels it: a venue has one order session for all of them."""
    level = {str(known): value for known, value in LEVELS.items()}.get(name)
    if level is None or level is KillLevel.ARMED:
        raise BadInput("level", "level", name, "pause, reduce-only, cancel, flatten or disconnect")
    if level is KillLevel.DISCONNECT and scope not in (Scope.FIRM, Scope.VENUE):
        raise BadInput("level", "level", name, "disconnect of the firm or of a venue; cancel for anything less")
    return level
