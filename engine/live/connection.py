"""A non-blocking TCP connection to the venue that an epoll loop drives."""

import errno
import socket
from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT, epoll

CHUNK = 65_536
Address = tuple[str, int]
Connect = Callable[[Address], tuple[socket.socket, bool]]


def connect_tcp(address: Address) -> tuple[socket.socket, bool]:
    """(a non-blocking socket that is being connected, whether that has not failed yet)."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened, opened.connect_ex(address) in (0, errno.EINPROGRESS)


class Connection:
    """Opens in the background; ``established`` once it stands. What cannot be sent at once waits."""

    def __init__(self, address: Address, poll: epoll, connect: Connect = connect_tcp) -> None:
        self.established = False
        self._poll, self._waiting = poll, b""
        self._socket, under_way = connect(address)
        self.fileno, self.failed = self._socket.fileno(), not under_way
        poll.register(self.fileno, EPOLLIN | EPOLLOUT)

    def on_writable(self) -> bool:
        """Finds out whether the connection stands, and sends what waits; False once it is lost (or could not be
        made)."""
        if not self.established:
            if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return False
            try:
                self._socket.getpeername()
            except OSError:
                return True
            self.established = True
        return self._flush()

    @property
    def waiting(self) -> bool:
        """Whether there are bytes that the socket has not taken."""
        return bool(self._waiting)

    def on_event(self) -> list[bytes] | None:
        """What has come; None once the connection is lost (or could not be made)."""
        if not self.on_writable():
            return None
        if not self.established:
            return []
        chunks: list[bytes] = []
        while True:
            try:
                chunk = self._socket.recv(CHUNK)
            except BlockingIOError:
                return chunks
            except OSError:
                return chunks or None
            if not chunk:
                return chunks or None
            chunks.append(chunk)

    def send(self, content: bytes) -> bool:
        """False when the connection is lost."""
        self._waiting += content
        return self._flush()

    def close(self) -> None:
        self._poll.unregister(self.fileno)
        self._socket.close()

    def _flush(self) -> bool:
        while self._waiting:
            try:
                sent = self._socket.send(self._waiting)
            except BlockingIOError:
                break
            except OSError:
                return False
            self._waiting = self._waiting[sent:]
        self._poll.modify(self.fileno, EPOLLIN | (EPOLLOUT if self._waiting else 0))
        return True
