"""What goes wrong at a venue, by configuration and drawn from a seed: packets, orders, connections, the venue itself.

Every kind of fault has a random stream of its own, named by the kind, so that switching one on does not move another.
"""

import math
from random import Random

import msgspec

from engine.errors import BadInput

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares are probabilities; times are wall seconds. By default nothing goes wrong."""

    drop: float = 0.0  # of market data packets, on each line for itself
    double: float = 0.0
    reorder: float = 0.0  # held back until ``reorder_by`` later ones have gone
    reorder_by: int = 2
    reject: float = 0.0  # of orders, as a processing error
    slow_ack: float = 0.0  # of moments at which an account is told something
    slow_ack_ms: float = 250.0
    disconnect_every: float = 0.0  # mean time between cuts of all order connections; 0: never
    hang_every: float = 0.0  # mean time between two hangs, in which the venue neither reads nor answers; 0: never
    hang_seconds: float = 2.0

    def check(self) -> None:
        """Raises ``BadInput``."""
        for name in ("drop", "double", "reorder", "reject", "slow_ack"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput("out_of_range", f"faults.{name}", getattr(self, name), "0 to 1")
        if self.drop + self.double + self.reorder > 1:
            raise BadInput("out_of_range", "faults.drop", self.drop, "drop, double and reorder to sum to at most 1")
        for name in ("slow_ack_ms", "disconnect_every", "hang_every", "hang_seconds"):
            if not 0 <= getattr(self, name) < 1e9:
                raise BadInput("out_of_range", f"faults.{name}", getattr(self, name), "0 to 1e9")
        if not 1 <= self.reorder_by <= 1_000:
            raise BadInput("out_of_range", "faults.reorder_by", self.reorder_by, "1 to 1,000 packets")


def stream(seed: int, name: str) -> Random:
    """The random stream of one kind of fault."""
    return Random(f"{seed}:{name}")


class Packets:
    """One line's packets: some are dropped, some doubled, some come late."""

    def __init__(self, faults: Faults, random: Random) -> None:
        self._faults, self._random = faults, random
        self._held: list[tuple[int, bytes]] = []  # (packets that still go first, packet)
        self.counts = {"dropped": 0, "doubled": 0, "reordered": 0}

    def pass_on(self, packets: list[bytes]) -> list[bytes]:
        """What of ``packets``, and of those held back before, goes out now."""
        out: list[bytes] = []
        for packet in packets:
            drawn = self._random.random()
            if drawn < self._faults.drop:
                self.counts["dropped"] += 1
            elif drawn < self._faults.drop + self._faults.double:
                self.counts["doubled"] += 1
                self._let_go(out, [packet, packet])
            elif drawn < self._faults.drop + self._faults.double + self._faults.reorder:
                self.counts["reordered"] += 1
                self._held.append((self._faults.reorder_by, packet))
            else:
                self._let_go(out, [packet])
        return out

    def _let_go(self, out: list[bytes], packets: list[bytes]) -> None:
        out += packets
        out += [held for first, held in self._held if first == 1]
        self._held = [(first - 1, held) for first, held in self._held if first > 1]


class Chance:
    """Whether something happens this time, with a fixed probability."""

    def __init__(self, probability: float, random: Random) -> None:
        self._probability, self._random = probability, random
        self.count = 0

    def strikes(self) -> bool:
        struck = self._random.random() < self._probability
        self.count += struck
        return struck


class Windows:
    """Spans of time, ns: the next one begins an exponential time (mean ``every`` seconds) behind the last one's end."""

    def __init__(self, every: float, seconds: float, random: Random) -> None:
        self._every, self._length, self._random = every, int(seconds * SECOND), random
        self._begin = self._end = 0
        self.count = 0

    def end_of(self, now: int) -> int:
        """The end of the window in which ``now`` lies, 0 when it lies in none. ``now`` must not go back."""
        if not self._every:
            return 0
        if not self._end:
            self._draw(now)
        while now >= self._end:
            self._draw(self._end)
            self.count += 1
        return self._end if now >= self._begin else 0

    def _draw(self, after: int) -> None:
        self._begin = after + int(-self._every * math.log1p(-self._random.random()) * SECOND)
        self._end = self._begin + max(self._length, 1)
