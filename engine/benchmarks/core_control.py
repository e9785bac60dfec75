"""What an agent does with a core, as far as benchmarks need it: a deployment, commands, the status."""

import json
from pathlib import Path
from typing import Any

import msgspec

from engine.core.events import BlobType, Command
from engine.core.limit_tables import strategy_limits
from engine.live.control import CHOOSE_SLOT, blob_packets, command_packets, connect
from engine.messages import DataContract, LimitEnvelope, Manifest
from engine.strategies import many_pairs

STRATEGY = "intraday_pairs"
ENVELOPE = LimitEnvelope(100_000, 10**12, 10**7, 10**14)
ANSWER_BYTES = 1 << 20


class CoreControl:
    """``folder`` holds the engine's own, ``symbols`` are those that it trades."""

    folder: Path
    symbols: list[str]

    def deploy(self, pairs: int, **parameters: Any) -> int:
        """Starts ``intraday_pairs`` with so many pairs; its slot."""
        manifest = Manifest("d", "v", STRATEGY, "0" * 64, {}, ENVELOPE, DataContract("none", "0" * 64), "sim", 10**12)
        slot = int(self._ask(blob_packets(BlobType.MANIFEST, msgspec.json.encode(manifest), CHOOSE_SLOT))["slot"])
        for blob_type, payload in (
            (BlobType.LIMITS, strategy_limits(ENVELOPE)),
            (BlobType.PARAMETERS, many_pairs.parameters(**parameters)),
            (BlobType.ARTIFACT, many_pairs.artifact(len(self.symbols), pairs).tobytes()),
        ):
            self._ask(blob_packets(blob_type, payload, slot))
        self._ask(command_packets(Command.START, slot))
        return slot

    def status(self) -> dict[str, Any]:
        return dict(self._converse([b"S"], "status")["status"])

    def _ask(self, packets: list[bytes]) -> dict[str, Any]:
        answer = self._converse(packets, "ok")
        if not answer["ok"]:
            raise RuntimeError(f"the core refused: {answer['error']}")
        return answer

    def _converse(self, packets: list[bytes], key: str) -> dict[str, Any]:
        """The first answer with ``key``, over a connection of its own: the core drops one that is not read."""
        with connect(self.folder / "engine") as control:
            for packet in packets:
                control.send(packet)
            while key not in (answer := json.loads(control.recv(ANSWER_BYTES))):
                continue
        return dict(answer)
