"""An account's sequenced stream without the exchange's record behind it."""

from collections.abc import Sequence


class MemoryStream:
    """A SequencedStream in memory."""

    def __init__(self, session: str) -> None:
        self.session = session
        self._messages: list[bytes] = []

    @property
    def next_sequence(self) -> int:
        return len(self._messages) + 1

    def append(self, payload: bytes) -> int:
        """The number of the message."""
        self._messages.append(payload)
        return len(self._messages)

    def read(self, sequence: int, limit: int) -> Sequence[bytes]:
        return self._messages[sequence - 1 : sequence - 1 + limit]
