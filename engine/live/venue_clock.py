"""The session clock that the venue publishes, read again whenever the venue has written a new one."""

import logging
from pathlib import Path

from engine.core.clock import SessionClock

log = logging.getLogger(__name__)


class VenueClock:
    """``session_ns`` is the venue's session time; before the venue has a clock it stands still at 0."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock: SessionClock | None = None
        self._stamp = (0, 0)

    def refresh(self) -> bool:
        """Reads the file if it has changed; True when there is a new clock."""
        try:
            stat = self.path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp == self._stamp:
                return False
            self.clock = SessionClock.from_json(self.path.read_text())
        except (OSError, ValueError, KeyError):
            return False  # not there yet, or half written: asked again soon
        self._stamp = stamp
        return True

    def session_ns(self, wall_ns: int) -> int:
        return self.clock.session_ns(wall_ns) if self.clock else 0

    def speed(self) -> float:
        """How many seconds of session time pass in one second of wall time while the session is open."""
        if self.clock is None:
            return 1.0
        wall = self.clock.close_wall_ns(0) - self.clock.open_wall_ns(0)
        return (self.clock.close_ns(0) - self.clock.open_ns(0)) / wall
