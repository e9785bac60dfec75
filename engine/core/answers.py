"""What venues owe an answer to: orders, replaces and cancels. One silent about them for ``hang_after`` hangs."""

from engine.core.compiled import njit


@njit(cache=True)
def answers(state, number):
    """Whether a venue can be asked, and says what becomes of what it is asked."""
    venue = state.venues[number]
    hangs = venue.awaiting > 0 and state.hang_after > 0 and state.now - venue.awaited_since >= state.hang_after
    return venue.up == 1 and not hangs


@njit(cache=True, inline="always")
def await_answer(state, order):
    """Its venue has been sent something of ``order``, and has not said anything of it since."""
    if order.unanswered:
        return
    order.unanswered = 1
    venue = state.venues[order.venue]
    if venue.awaiting == 0:
        venue.awaited_since = state.now
    venue.awaiting += 1


@njit(cache=True)
def note_answer(state, order):
    """A venue has said something of an order."""
    state.venues[order.venue].awaited_since = state.now
    forget_answer(state, order)


@njit(cache=True)
def forget_answer(state, order):
    """Nothing more is to come of an order: it has been answered, or has ended without (a replace of what is gone)."""
    if order.unanswered:
        order.unanswered = 0
        venue = state.venues[order.venue]
        venue.awaiting = max(venue.awaiting - 1, 0)
