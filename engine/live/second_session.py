"""A second order session of the node's account, for when the core cannot use the first one.

Blocking sockets, for an operator's command. The venue hands the account's stream to its newest connection, and a core
that starts later takes it back and is sent everything again: what is told here is not lost to it.
"""

import socket
import time
from collections.abc import Callable, Iterator

from engine.configuration import Account
from engine.protocols import ouch
from engine.protocols.layout import WireError
from engine.protocols.soupbintcp_session import ClientSession, LoggedIn, LoginRejected, Lost, Sequenced, Unsequenced

CHUNK = 65_536


class SessionFailed(ConnectionError):
    """The venue does not answer, or not as the protocol says; what was sent may have arrived."""


class SecondSession:
    """Logged in once made. ``next_sequence`` 0: only what the venue says from here on. Raises SessionFailed.

    ``before_query`` is called before each account query: the core of that account has to know how many there were.
    """

    def __init__(
        self,
        address: tuple[str, int],
        account: Account,
        *,
        next_sequence: int,
        give_up: float,
        before_query: Callable[[], None],
    ) -> None:
        self._give_up, self._before_query = give_up, before_query
        try:
            self._socket = socket.create_connection(address, max(give_up - time.monotonic(), 0.001))
        except OSError as error:
            raise SessionFailed(f"no order session at {address[0]}:{address[1]}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._session = ClientSession(account.username, account.password, next_sequence=next_sequence)
        self._session.connect(time.monotonic_ns())
        self._events = self._receive()
        if not isinstance(next(self._events), LoggedIn):
            raise SessionFailed("the venue did not answer the login")

    def send(self, message: ouch.OuchMessage) -> None:
        self._session.send_unsequenced(ouch.encode(message), time.monotonic_ns())

    def until_query_answered(self) -> Iterator[ouch.OuchMessage]:
        """Asks for the account's next id; all that the venue says before the answer, and then the answer.

        The venue answers in turn, so what was sent before has had its effect by then.
        """
        self._before_query()
        self.send(ouch.AccountQuery())
        for event in self._events:
            if not isinstance(event, Sequenced):
                continue
            try:
                message = ouch.decode_outbound(event.payload)
            except WireError as error:
                raise SessionFailed(f"the venue sent what is no OUCH message: {error}") from error
            yield message
            if isinstance(message, ouch.AccountQueryResponse):
                return

    def next_id(self) -> int:
        """The id that the venue expects next."""
        *_, answer = self.until_query_answered()
        assert isinstance(answer, ouch.AccountQueryResponse)
        return answer.next_user_ref_num

    def flush(self) -> None:
        """Hands what was sent to the socket. Raises SessionFailed."""
        content = self._session.take()
        try:
            self._socket.sendall(content)
        except OSError as error:
            raise SessionFailed(f"the session is lost: {error}") from error

    def close(self) -> None:
        self._session.logout(time.monotonic_ns())
        self.flush()
        self._socket.close()

    def _receive(self) -> Iterator[LoggedIn | Sequenced | Unsequenced]:
        """What the venue says, as it comes. Raises SessionFailed when it is silent for too long, or gone."""
        while True:
            self.flush()
            left = self._give_up - time.monotonic()
            if left <= 0:
                raise SessionFailed("the venue did not answer in time")
            self._socket.settimeout(left)
            try:
                chunk = self._socket.recv(CHUNK)
            except OSError as error:
                raise SessionFailed(f"the venue did not answer: {error}") from error
            if not chunk:
                raise SessionFailed("the venue closed the session")
            for event in self._session.receive(chunk, time.monotonic_ns()):
                if isinstance(event, LoginRejected | Lost):
                    raise SessionFailed(f"the venue ended the session: {event.reason}")
                if isinstance(event, LoggedIn | Sequenced):
                    yield event
