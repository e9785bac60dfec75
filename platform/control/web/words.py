"""States as people read them, and the tone of their dot. A state is a word first, a colour second."""

STATUS_TONES = {
    # versions and approvals
    "draft": "off",
    "submitted": "busy",
    "open": "busy",
    "approved": "good",
    "rejected": "bad",
    "withdrawn": "off",
    "retired": "off",
    # backtests
    "queued": "off",
    "cancelling": "warn",
    "cancelled": "off",
    "failed": "bad",
    "succeeded": "good",
    # deployments
    "pending": "busy",
    "loading": "busy",
    "running": "good",
    "paused": "warn",
    "flattening": "warn",
    "flat": "off",
    "stopped": "off",
    "faulted": "bad",
    "refused": "bad",
    # orders
    "sent": "busy",
    "accepted": "busy",
    "suspended": "warn",
    "partially_filled": "busy",
    "filled": "good",
    "replaced": "off",
    "expired": "off",
    "done_for_day": "off",
    "busted": "bad",
    # the kill ladder
    "armed": "good",
    "pause": "warn",
    "reduce-only": "warn",
    "cancel": "bad",
    "flatten": "bad",
    "disconnect": "bad",
    # nodes
    "online": "good",
    "stale": "warn",
    "venue_down": "bad",
    "core_down": "bad",
    "offline": "bad",
    "never_seen": "off",
    # audit rows, imports
    "sealed": "good",
    "unsealed": "busy",
    "imported": "good",
    "unchanged": "off",
}

_WORDS = {
    "partially_filled": "Part filled",
    "never_seen": "Never linked",
    "pause": "No new orders",
    "cancel": "Orders cancelled",
    "flatten": "Flattening",
    "disconnect": "Disconnected",
    "venue_down": "No order session",
    "core_down": "Core down",
    "unchanged": "Nothing new",
}


def status_word(state: str) -> str:
    return _WORDS.get(state) or state.replace("_", " ").capitalize()


def scope_words(scope: str) -> str:
    """What a kill is about: "desk:Stat arb" as "desk Stat arb"."""
    return "the firm" if scope == "firm" else scope.replace(":", " ", 1)
