"""The strategies this build knows, by name."""

from engine.errors import BadInput
from engine.strategies import intraday_pairs, pairs, sma, trend
from engine.strategies.base import Strategy

KNOWN = (pairs, intraday_pairs, sma, trend)
STRATEGIES: dict[str, Strategy] = {module.STRATEGY.name: module.STRATEGY for module in KNOWN}


def strategy(name: str) -> Strategy:
    """Raises BadInput for a name that is not registered."""
    try:
        return STRATEGIES[name]
    except KeyError:
        raise BadInput("unknown_strategy", "strategy", name, "one of " + ", ".join(sorted(STRATEGIES))) from None
