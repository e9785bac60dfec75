"""What a strategy that runs outside the engine wants, as inputs of the step."""

import numpy as np

from engine.core.events import Kind

WANTED = (Kind.TARGET, Kind.LEG, Kind.SIGNAL)  # kinds that such a strategy may write


def intents_of(records: np.ndarray, strategy: int, ts: np.ndarray | int) -> np.ndarray:
    """INTENT records of EVENT records of the kinds above, whose ``ts_recv`` is that of what was decided on; they
    arrive at ``ts`` (ns, one for all or one each)."""
    intents = records.view("V64").copy().view(records.dtype)
    intents["flags"], intents["kind"] = records["kind"], Kind.INTENT
    intents["ts_event"], intents["ts_recv"] = records["ts_recv"], ts
    intents["venue"], intents["strategy"] = 0, strategy
    return intents
