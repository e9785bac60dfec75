"""What the compiled decoders need beside the bytes, and what they count."""

import numpy as np
import numpy.typing as npt

from engine.core.clock import midnight_ns
from engine.protocols.layout import WireError

UNMAPPED = -1

FEED = np.dtype(
    [
        ("midnight", "<i8"),  # ns UTC of the trading date's midnight in New York: wire times count from it
        ("ts_recv", "<i8"),  # ns UTC, stamped on every event
        ("date", "<i8"),  # yyyymmdd, put into SESSION events
        ("session", "<i8"),  # the furthest Session event of that date so far, 0 for none
        ("venue", "<i8"),
        ("highest", "<i8"),  # the highest stock locate of ours
        ("position", "<i8"),  # where decoding stopped: short of the end only when `out` was full
        ("messages", "<i8"),
        ("events", "<i8"),
        ("unsubscribed", "<i8"),  # of instruments that are not ours
        ("no_event", "<i8"),  # good messages that make no event
        ("remapped", "<i8"),  # Stock Directory messages that would give a locate or an instrument away a second time
        ("unknown_type", "<i8"),
        ("wrong_length", "<i8"),
        ("truncated", "<i8"),
        ("bad_field", "<i8"),
    ],
    align=True,
)
_REASONS = ("unknown_type", "wrong_length", "truncated", "bad_field")
COUNTERS = ("messages", "events", "unsubscribed", "no_event", "remapped", *_REASONS)


def new_feed(date: int = 0, venue: int = 0) -> np.record:
    """A FEED record for a trading date (yyyymmdd)."""
    feed = np.zeros(1, FEED)[0]
    feed["venue"] = venue
    if date:
        set_date(feed, date)
    return feed  # type: ignore[return-value]


def set_date(feed: np.record, date: int) -> None:
    """Begins a trading date (yyyymmdd). Raises WireError ``bad_field`` for a number that is no date."""
    try:
        feed["midnight"] = midnight_ns(date)
    except ValueError as error:
        raise WireError("bad_field", "date", date, "a date as yyyymmdd") from error
    feed["date"] = date
    feed["session"] = 0


def counters(feed: np.record) -> dict[str, int]:
    return {name: int(feed[name]) for name in COUNTERS}


def symbol_key(symbol: str) -> int:
    """The 8 bytes of a symbol field as one integer, as the decoders compare them.

    Raises:
        WireError: ``out_of_range`` unless it is 1 to 8 ASCII characters.
    """
    if not (symbol.isascii() and 1 <= len(symbol) <= 8):
        raise WireError("out_of_range", "symbol", symbol, "1 to 8 ASCII characters")
    return int.from_bytes(symbol.encode().ljust(8), "big")


def symbol_keys(symbols: list[str]) -> npt.NDArray[np.int64]:
    """Keys of the engine's instrument table, int64 (n,): the index is the instrument."""
    return np.array([symbol_key(symbol) for symbol in symbols], np.int64)


def new_locate_map() -> npt.NDArray[np.int32]:
    """Stock locate -> instrument, int32 (65536,); nothing is mapped yet."""
    return np.full(65_536, UNMAPPED, np.int32)
