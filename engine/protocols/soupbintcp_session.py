"""SoupBinTCP 3.00, both sides of a connection as state machines (sections 1.2 to 1.5: login, sequencing, heartbeats,
end of session).

Bytes and the time (ns of any steady clock) come in; events are returned, and bytes to send gather until `take`.
Heartbeats: a side that sent nothing for a second sends one; silence for `timeout` means the connection is lost.
"""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol, TypeAlias

import msgspec

from engine.protocols import soupbintcp as soup
from engine.protocols.layout import WireError

SECOND = 1_000_000_000


class State(Enum):
    NEW = "new"
    LOGGING_IN = "logging_in"
    LOGGED_IN = "logged_in"
    CLOSED = "closed"


class LoggedIn(msgspec.Struct, frozen=True):
    """``sequence`` is the number of the next sequenced message; it differs from `requested` when the server cannot
    replay from there."""

    session: str
    sequence: int
    requested: int


class LoginRejected(msgspec.Struct, frozen=True):
    reason: str  # "A" not authorized, "S" session not available


class Sequenced(msgspec.Struct, frozen=True):
    sequence: int
    payload: bytes


class Unsequenced(msgspec.Struct, frozen=True):
    payload: bytes


class Debug(msgspec.Struct, frozen=True):
    text: str


class EndOfSession(msgspec.Struct, frozen=True):
    session: str


class LogoutRequested(msgspec.Struct, frozen=True):
    """The client is done; close the connection once what is pending has been sent."""


class Lost(msgspec.Struct, frozen=True):
    """Close the connection: ``timeout``, ``login_timeout``, ``not_logged_in``, ``unexpected_packet`` or the code of a
    WireError."""

    reason: str


Event: TypeAlias = LoggedIn | LoginRejected | Sequenced | Unsequenced | Debug | EndOfSession | LogoutRequested | Lost


class _Side(ABC):
    """What both sides share: splitting, heartbeats, timeouts, the bytes to send."""

    _heartbeat_type: str

    def __init__(self, *, heartbeat: int, timeout: int) -> None:
        self.state = State.NEW
        self.heartbeat, self.timeout = heartbeat, timeout
        self._out = bytearray()
        self._splitter = soup.Splitter()
        self._sent_at = self._heard_at = 0

    def take(self) -> bytes:
        """Bytes to send, which are then forgotten here."""
        out, self._out = bytes(self._out), bytearray()
        return out

    def receive(self, chunk: bytes, now: int) -> list[Event]:
        """Events of the bytes in `chunk`. After `Lost` the connection is closed and further bytes are ignored."""
        if self.state is State.CLOSED:
            return []
        self._heard_at = now
        events: list[Event] = []
        try:
            for packet in self._splitter.feed(chunk):
                event = self._on_packet(packet, now)
                if event is not None:
                    events.append(event)
                if self.state is State.CLOSED:
                    break
        except WireError as error:
            events.append(self._lose(error.code))
        return events

    def on_time(self, now: int) -> list[Event]:
        """Sends a heartbeat that is due; `Lost` when the other side has been silent for too long."""
        if self.state in (State.NEW, State.CLOSED):
            return []
        if now - self._heard_at >= self.timeout:
            return [self._lose("login_timeout" if self.state is State.LOGGING_IN else "timeout")]
        if self.state is State.LOGGED_IN and now - self._sent_at >= self.heartbeat:
            self._send(soup.encode(self._heartbeat_type), now)
        return []

    def deadline(self) -> int | None:
        """When `on_time` has something to do."""
        if self.state in (State.NEW, State.CLOSED):
            return None
        silence = self._heard_at + self.timeout
        return min(silence, self._sent_at + self.heartbeat) if self.state is State.LOGGED_IN else silence

    def connection_lost(self) -> None:
        """The transport is gone."""
        self.state = State.CLOSED

    def send_unsequenced(self, payload: bytes, now: int) -> None:
        """Raises WireError ``not_logged_in`` before the login and after the end."""
        if self.state is not State.LOGGED_IN:
            raise WireError("not_logged_in", "soupbintcp.state", self.state.value, "a session that is logged in")
        self._send(soup.encode(soup.UNSEQUENCED, payload), now)

    def send_packets(self, raw: bytes, now: int) -> None:
        """Sends packets that are framed already."""
        self._send(raw, now)

    def _send(self, raw: bytes, now: int) -> None:
        self._out += raw
        self._sent_at = now

    def _lose(self, reason: str) -> Lost:
        self.state = State.CLOSED
        return Lost(reason)

    @abstractmethod
    def _on_packet(self, packet: soup.Packet, now: int) -> Event | None: ...


class ClientSession(_Side):
    """`next_sequence` is the number of the first sequenced message that is wanted; it counts on as they come."""

    _heartbeat_type = soup.CLIENT_HEARTBEAT

    def __init__(
        self,
        username: str,
        password: str,
        *,
        session: str = "",
        next_sequence: int = 1,
        heartbeat: int = SECOND,
        timeout: int = 15 * SECOND,
    ) -> None:
        super().__init__(heartbeat=heartbeat, timeout=timeout)
        self._login = soup.Login(username, password, session, next_sequence)
        self.session, self.next_sequence = session, next_sequence

    def connect(self, now: int) -> None:
        """The transport is open: sends the login request."""
        self.state, self._heard_at = State.LOGGING_IN, now
        self._send(soup.encode_login(self._login), now)

    def took(self, messages: int, heard_at: int, sent_at: int) -> None:
        """Sequenced messages were read elsewhere, and packets sent; at these times, 0 for never."""
        self.next_sequence += messages
        self._heard_at, self._sent_at = max(self._heard_at, heard_at), max(self._sent_at, sent_at)

    def logout(self, now: int) -> None:
        if self.state is State.LOGGED_IN:
            self._send(soup.encode(soup.LOGOUT_REQUEST), now)
        self.state = State.CLOSED

    def _on_packet(self, packet: soup.Packet, now: int) -> Event | None:
        if packet.type == soup.DEBUG:
            return Debug(packet.payload.decode("latin-1"))
        if self.state is State.LOGGING_IN:
            return self._on_login_answer(packet)
        if packet.type == soup.SEQUENCED:
            self.next_sequence += 1
            return Sequenced(self.next_sequence - 1, packet.payload)
        if packet.type == soup.UNSEQUENCED:
            return Unsequenced(packet.payload)
        if packet.type == soup.END_OF_SESSION:
            self.state = State.CLOSED
            return EndOfSession(self.session)
        if packet.type == soup.SERVER_HEARTBEAT:
            return None
        return self._lose("unexpected_packet")

    def _on_login_answer(self, packet: soup.Packet) -> Event:
        if packet.type == soup.LOGIN_REJECTED:
            self.state = State.CLOSED
            return LoginRejected(packet.payload.decode("latin-1"))
        if packet.type != soup.LOGIN_ACCEPTED:
            return self._lose("unexpected_packet")
        self.session, self.next_sequence = soup.decode_login_accepted(packet.payload)
        self.state = State.LOGGED_IN
        return LoggedIn(self.session, self.next_sequence, self._login.sequence)


class SequencedStream(Protocol):
    """The sequenced messages of one account's session, kept by the server over connections."""

    @property
    def session(self) -> str: ...

    @property
    def next_sequence(self) -> int:
        """The number that the next message will get; the first is 1."""
        ...

    def read(self, sequence: int, limit: int) -> Sequence[bytes]:
        """Up to `limit` messages from number `sequence` on."""
        ...


class NotAvailable(Exception):
    """Raised by ``authenticate``: the account is known, but there is no session for it now."""


Authenticate: TypeAlias = Callable[[str, str], SequencedStream | None]


def same_secret(given: str, expected: str) -> bool:
    """Compares passwords in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


class ServerSession(_Side):
    """One accepted connection. ``authenticate(username, password)`` gives the account's stream, or None to reject.

    After the login, and whenever the stream has grown, call `pump`.
    """

    _heartbeat_type = soup.SERVER_HEARTBEAT

    def __init__(
        self, authenticate: Authenticate, now: int, *, heartbeat: int = SECOND, timeout: int = 15 * SECOND
    ) -> None:
        super().__init__(heartbeat=heartbeat, timeout=timeout)
        self._authenticate = authenticate
        self.username = ""
        self.stream: SequencedStream | None = None
        self.next_sequence = 1  # number of the next sequenced message that goes out here
        self.state, self._heard_at = State.LOGGING_IN, now

    def pump(self, now: int, limit: int = 1_000) -> bool:
        """Sends up to `limit` messages that the stream has beyond what was sent; True when more are left."""
        if self.state is not State.LOGGED_IN or self.stream is None:
            return False
        for payload in self.stream.read(self.next_sequence, limit):
            self._send(soup.encode(soup.SEQUENCED, payload), now)
            self.next_sequence += 1
        return self.next_sequence < self.stream.next_sequence

    def end(self, now: int) -> None:
        """End of session: sends everything that is left, the end packet, and closes."""
        while self.pump(now):
            continue
        if self.state is State.LOGGED_IN:
            self._send(soup.encode(soup.END_OF_SESSION), now)
        self.state = State.CLOSED

    def _on_packet(self, packet: soup.Packet, now: int) -> Event | None:
        if packet.type == soup.DEBUG:
            return Debug(packet.payload.decode("latin-1"))
        if self.state is State.LOGGING_IN:
            return self._on_login(packet, now)
        if packet.type == soup.UNSEQUENCED:
            return Unsequenced(packet.payload)
        if packet.type == soup.LOGOUT_REQUEST:
            self.state = State.CLOSED
            return LogoutRequested()
        if packet.type == soup.CLIENT_HEARTBEAT:
            return None
        return self._lose("unexpected_packet")

    def _on_login(self, packet: soup.Packet, now: int) -> Event:
        if packet.type != soup.LOGIN_REQUEST:
            return self._lose("not_logged_in")
        login = soup.decode_login(packet.payload)
        try:
            stream = self._authenticate(login.username, login.password)
        except NotAvailable:
            return self._reject(soup.SESSION_NOT_AVAILABLE, now)
        if stream is None:
            return self._reject(soup.NOT_AUTHORIZED, now)
        if login.session not in ("", stream.session) or login.sequence > stream.next_sequence:
            return self._reject(soup.SESSION_NOT_AVAILABLE, now)
        self.username, self.stream = login.username, stream
        self.next_sequence = login.sequence or stream.next_sequence
        self.state = State.LOGGED_IN
        self._send(soup.encode_login_accepted(stream.session, self.next_sequence), now)
        return LoggedIn(stream.session, self.next_sequence, login.sequence)

    def _reject(self, reason: str, now: int) -> LoginRejected:
        self._send(soup.encode(soup.LOGIN_REJECTED, reason.encode()), now)
        self.state = State.CLOSED
        return LoginRejected(reason)
