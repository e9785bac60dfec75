"""A non-blocking TCP connection to the venue that an epoll loop drives."""

import errno
import socket
from select import EPOLLIN, EPOLLOUT, epoll

CHUNK = 65_536


class Connection:
    """Opens in the background; ``established`` once it stands. What cannot be sent at once waits."""

    def __init__(self, address: tuple[str, int], poll: epoll) -> None:
        self.established = False
        self._poll, self._waiting = poll, b""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fileno = self._socket.fileno()
        self.failed = self._socket.connect_ex(address) not in (0, errno.EINPROGRESS)
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
