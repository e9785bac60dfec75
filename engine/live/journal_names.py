"""What a journal's records call by number: deployments by slot, symbols by instrument, venues, and the trading day."""

import json
from dataclasses import dataclass, field
from typing import Any

from engine.core.events import BlobType
from engine.core.state import StrategyState
from engine.core.venues import decode_venues
from engine.live.scan import Blob
from engine.messages import Manifest, SignalReport, StrategyStateName

STATE_NAMES: dict[int, StrategyStateName] = {
    int(StrategyState.LOADING): "loading",
    int(StrategyState.RUNNING): "running",
    int(StrategyState.PAUSED): "paused",
    int(StrategyState.FLATTENING): "flattening",
    int(StrategyState.STOPPED): "stopped",
    int(StrategyState.FAULTED): "faulted",
}


@dataclass
class Deployment:
    """What the journal says of the deployment in one slot."""

    slot: int
    manifest: Manifest
    state: StrategyStateName = "loading"
    artifact: bytes = b""
    pairs: tuple[str, ...] = ()
    held: dict[str, SignalReport] = field(default_factory=dict)  # the newest signal of each pair with a stance


class JournalNames:
    """As far as the records have been read."""

    def __init__(self) -> None:
        self.slots: dict[int, Deployment] = {}
        self.instruments: list[str] = []
        self.venues: list[str] = []
        self.session_date = 0

    def learn(self, blob: Blob) -> None:
        """Symbols and venues."""
        if blob.blob_type is BlobType.INSTRUMENTS:
            self.instruments = json.loads(blob.payload)
        elif blob.blob_type is BlobType.VENUES:
            self.venues = [venue.name for venue in decode_venues(blob.payload)]
        elif blob.blob_type is BlobType.SYMBOL_CHANGE:
            change = json.loads(blob.payload)
            if 0 <= change["instrument"] < len(self.instruments) and change["symbol"] not in self.instruments:
                self.instruments[change["instrument"]] = change["symbol"]  # else the engine has refused it

    def name(self, record: Any) -> str:
        """The deployment of a record's strategy, "" where there is none."""
        slot = self.slots.get(int(record["strategy"]))
        return slot.manifest.deployment if slot else ""

    def symbol(self, record: Any) -> str:
        instrument = int(record["instrument"])
        return self.instruments[instrument] if 0 <= instrument < len(self.instruments) else ""

    def venue(self, record: Any) -> str:
        return self.venue_name(int(record["venue"]))

    def venue_name(self, venue: int) -> str:
        return self.venues[venue] if 0 <= venue < len(self.venues) else ""
