"""The sockets on which market data arrives, one a line."""

import heapq
import logging
import socket
from collections.abc import Callable, Iterable, Mapping

from engine.errors import BadInput
from engine.protocols import moldudp64

log = logging.getLogger(__name__)

DATAGRAMS_AT_ONCE = 256  # of a line
RECEIVE_BUFFER = 4 * 1024 * 1024
Address = tuple[str, int]
Bind = Callable[[str, Address], socket.socket]
PLACE = moldudp64.SESSION_BYTES + 8  # bytes of session and sequence number, which sort as they follow each other


class FeedLines:
    """``addresses`` by the name of the setting that an error names, to which ``bind`` gives a socket that does not
    wait. Raises BadInput ``port_taken``."""

    def __init__(self, addresses: Mapping[str, Address], bind: Bind | None = None) -> None:
        self._sockets = [(bind or bind_udp)(field, address) for field, address in addresses.items()]
        self.filenos = [each.fileno() for each in self._sockets]

    @property
    def ports(self) -> list[int]:
        return [int(each.getsockname()[1]) for each in self._sockets]

    def receive(self, at_hand: Iterable[tuple[int, bytes]] = ()) -> Iterable[tuple[int, bytes]]:
        """(line, datagram) of what has come, behind those ``at_hand``, which were read before. What one line lost
        stands in its place if the other has brought it: no gap opens merely because one socket was read first."""
        waiting: list[list[tuple[int, bytes]]] = [[] for _ in self._sockets]
        for line, datagram in at_hand:
            waiting[line].append((line, datagram))
        for line, arrived in enumerate(waiting):
            arrived += self._waiting(line)
        return waiting[0] if len(waiting) == 1 else heapq.merge(*waiting, key=lambda arrival: arrival[1][:PLACE])

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def request(self, packet: bytes, server: Address) -> None:
        """Sends a re-request, whose answer comes by the first line."""
        try:
            self._sockets[0].sendto(packet, server)
        except OSError as error:
            log.warning("re-request to port %d: %s", server[1], error)

    def _waiting(self, line: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                found.append((line, self._sockets[line].recv(65_536)))
            except BlockingIOError:
                break
            except OSError as error:  # an answer to a re-request that found nobody
                log.debug("datagram socket: %s", error)
        return found


def bind_udp(field: str, address: Address) -> socket.socket:
    """Raises BadInput ``port_taken``."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    try:
        datagrams.bind(address)
    except OSError as error:
        raise BadInput("port_taken", field, f"{address[0]}:{address[1]}", "a free UDP port") from error
    return datagrams
