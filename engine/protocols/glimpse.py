"""Nasdaq GLIMPSE 5.0: the state of the day's books for those who come late, over SoupBinTCP.

After the login (always for sequence number 1) the server sends the state as ITCH 5.0 messages, each in a sequenced
packet: system events so far, directory and trading state of every symbol, then an Add Order for each order that rests,
in priority order (sections 1.1 to 1.6). The Snapshot message ends it (section 1.7: ``G`` and 20 ASCII digits): the
sequence number of the real-time feed with which to go on.

Both sides are state machines without sockets. The SoupBinTCP session is named like the MoldUDP64 session that the
snapshot is of, so that a client can tell yesterday's from today's.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from engine.protocols import moldudp64
from engine.protocols import soupbintcp_session as soup
from engine.protocols.layout import WireError

END_OF_SNAPSHOT = b"G"
_DIGITS = 20
SECOND = 1_000_000_000
MAX_BYTES = 512 * 1024 * 1024


class Spin(msgspec.Struct, frozen=True):
    """What a server sends: `messages` are ITCH, `next_sequence` is the feed's number behind them."""

    session: str
    next_sequence: int
    messages: Sequence[bytes]


class Snapshot(msgspec.Struct, frozen=True):
    """What a client got: `count` ITCH messages, framed like a MoldUDP64 block."""

    session: str
    next_sequence: int
    count: int
    block: bytes


class Failed(msgspec.Struct, frozen=True):
    """No snapshot by this connection: ``rejected_A`` (not authorized), ``rejected_S`` (no such session), ``incomplete``
    (ended before its Snapshot message), ``wrong_sequence``, ``too_large``, or why SoupBinTCP lost it."""

    reason: str


def encode_end_of_snapshot(next_sequence: int) -> bytes:
    """Raises WireError ``out_of_range`` for a number that is not from 1 to 20 digits long."""
    if not 0 < next_sequence < 10**_DIGITS:
        raise WireError("out_of_range", "glimpse.sequence", next_sequence, f"1 to {_DIGITS} digits")
    return END_OF_SNAPSHOT + b"%20d" % next_sequence


def decode_end_of_snapshot(message: bytes) -> int:
    """The feed's next sequence number. Raises WireError ``unknown_type``, ``wrong_length``, ``bad_field``."""
    if message[:1] != END_OF_SNAPSHOT:
        raise WireError("unknown_type", "glimpse.type", message[:1], "G")
    if len(message) != 1 + _DIGITS:
        raise WireError("wrong_length", "glimpse.Snapshot", len(message), f"{1 + _DIGITS} bytes")
    digits = message[1:].strip(b" ")
    if not digits.isdigit() or int(digits) == 0:
        raise WireError("bad_field", "glimpse.sequence", digits, "ASCII digits, from 1")
    return int(digits)


class Client:
    """One connection that asks for one snapshot. ``session`` "" takes whichever is current."""

    def __init__(
        self,
        username: str,
        password: str,
        *,
        session: str = "",
        timeout: int = 15 * SECOND,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.max_bytes = max_bytes
        self._soup = soup.ClientSession(username, password, session=session, next_sequence=1, timeout=timeout)
        self._block = bytearray()
        self._count = 0
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the answer was given: close the connection once `take` has been sent."""
        return self._done

    def connect(self, now: int) -> None:
        """The transport is open."""
        self._soup.connect(now)

    def take(self) -> bytes:
        """Bytes to send, which are then forgotten here."""
        return self._soup.take()

    def receive(self, chunk: bytes, now: int) -> Snapshot | Failed | None:
        """The answer, once, when it is complete."""
        for event in () if self._done else self._soup.receive(chunk, now):
            answer = self._on_event(event)
            if answer is not None:
                return self._end(answer, now)
        return None

    def on_time(self, now: int) -> Failed | None:
        for event in () if self._done else self._soup.on_time(now):
            answer = self._on_event(event)
            if isinstance(answer, Failed):
                self._end(answer, now)
                return answer
        return None

    def deadline(self) -> int | None:
        return self._soup.deadline()

    def connection_lost(self) -> Failed | None:
        """The transport is gone."""
        self._soup.connection_lost()
        if self._done:
            return None
        self._done = True
        return Failed("incomplete")

    def _end(self, answer: Snapshot | Failed, now: int) -> Snapshot | Failed:
        self._done, self._block = True, bytearray()
        self._soup.logout(now)
        return answer

    def _on_event(self, event: soup.Event) -> Snapshot | Failed | None:
        if isinstance(event, soup.Sequenced):
            return self._on_message(event.payload)
        if isinstance(event, soup.LoggedIn):
            return Failed("wrong_sequence") if event.sequence != 1 else None
        if isinstance(event, soup.LoginRejected):
            return Failed(f"rejected_{event.reason}")
        if isinstance(event, soup.Lost):
            return Failed(event.reason)
        return Failed("incomplete") if isinstance(event, soup.EndOfSession) else None

    def _on_message(self, message: bytes) -> Snapshot | Failed | None:
        if message[:1] == END_OF_SNAPSHOT:
            try:
                next_sequence = decode_end_of_snapshot(message)
            except WireError as error:
                return Failed(error.code)
            return Snapshot(self._soup.session, next_sequence, self._count, bytes(self._block))
        if len(self._block) + 2 + len(message) > self.max_bytes:
            return Failed("too_large")
        self._block += moldudp64.frame([message])
        self._count += 1
        return None


class _Stream:
    """A spin as a SequencedStream: fixed, and complete from the first moment."""

    def __init__(self, spin: Spin) -> None:
        self.session = spin.session
        self._messages = [*spin.messages, encode_end_of_snapshot(spin.next_sequence)]

    @property
    def next_sequence(self) -> int:
        return len(self._messages) + 1

    def read(self, sequence: int, limit: int) -> Sequence[bytes]:
        return self._messages[sequence - 1 : sequence - 1 + limit]


def server_session(
    authenticate: Callable[[str, str], bool], snapshot: Callable[[], Spin | None], now: int
) -> soup.ServerSession:
    """The server's side of one accepted connection.

    ``authenticate(username, password)`` says who may have a snapshot; ``snapshot()`` is called at the login and makes
    it as of then, or None when there is no session to be a snapshot of. Call `pump` until it returns False; the client
    logs out when it has all.
    """

    def stream(username: str, password: str) -> soup.SequencedStream | None:
        if not authenticate(username, password):
            return None
        spin = snapshot()
        if spin is None:
            raise soup.NotAvailable
        return _Stream(spin)

    return soup.ServerSession(stream, now)


def spin(session: str, next_sequence: int, *parts: Iterable[bytes]) -> Spin:
    """A spin of the messages of `parts`, in that order."""
    return Spin(session, next_sequence, [message for part in parts for message in part])
