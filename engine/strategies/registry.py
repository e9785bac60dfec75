"""The strategies this build knows, by name."""

from engine.errors import BadInput
from engine.strategies import pairs
from engine.strategies.base import Strategy

STRATEGIES: dict[str, Strategy] = {pairs.STRATEGY.name: pairs.STRATEGY}


def strategy(name: str) -> Strategy:
    """Raises BadInput for a name that is not registered."""
    try:
        return STRATEGIES[name]
    except KeyError:
        raise BadInput("unknown_strategy", "strategy", name, "one of " + ", ".join(sorted(STRATEGIES))) from None
