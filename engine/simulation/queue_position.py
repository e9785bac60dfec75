"""Where a resting own order stands in a historic queue that does not know of it (after hftbacktest's queue models).

A feed of orders says exactly who leaves; a feed of levels says only how many shares did. The models differ in what they
make of a cancel: in the worst case it was behind us, on average it was as much ahead as the share of the queue ahead.
"""

from typing import Protocol


class Standing(Protocol):
    """What a model sees of an own order."""

    ahead: int
    place: int


class Leaving(Protocol):
    """What a model sees of the historic order whose shares leave."""

    place: int


class QueuePosition(Protocol):
    def ahead_after(self, ghost: Standing, order: Leaving, qty: int, level: int, *, executed: bool) -> int:
        """Shares ahead of ``ghost`` after ``qty`` shares of ``order`` left a level that had ``level`` shares."""
        ...

    def is_passed(self, ghost: Standing, order: Leaving) -> bool:
        """Whether an execution of ``order``, at the ghost's price, must have met the ghost before."""
        ...


class ByOrder:
    """Exact, where the feed names orders: those that came before the ghost are ahead of it."""

    def ahead_after(self, ghost: Standing, order: Leaving, qty: int, level: int, *, executed: bool) -> int:
        return max(ghost.ahead - qty, 0) if order.place < ghost.place else ghost.ahead

    def is_passed(self, ghost: Standing, order: Leaving) -> bool:
        return order.place > ghost.place


class Pessimistic:
    """As if only levels were known: executions come from the front, every cancel is behind us while it can be."""

    def ahead_after(self, ghost: Standing, order: Leaving, qty: int, level: int, *, executed: bool) -> int:
        if executed:
            return max(ghost.ahead - qty, 0)
        return min(ghost.ahead, max(level - qty, 0))

    def is_passed(self, ghost: Standing, order: Leaving) -> bool:
        return ghost.ahead == 0


class Proportional(Pessimistic):
    """As if only levels were known: a cancel is ahead of us in proportion to the shares that are (rounded down)."""

    def ahead_after(self, ghost: Standing, order: Leaving, qty: int, level: int, *, executed: bool) -> int:
        if executed or level <= 0:
            return super().ahead_after(ghost, order, qty, level, executed=executed)
        return min(max(ghost.ahead - qty * ghost.ahead // level, 0), max(level - qty, 0))
