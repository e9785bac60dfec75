"""The core's control socket: records from the agent (and the command line) in, answers and status out.

A UNIX SOCK_SEQPACKET socket ``core.sock`` in the engine's folder, mode 0600. A request is one packet with a
tag: ``R`` and an EVENT record (COMMAND or BLOB), followed by the beginning of the blob's payload; ``C`` and
more of that payload; ``S`` asks for the status. Every whole request is answered by one JSON packet:
``{"ok": true, "slot": n}`` or ``{"ok": false, "error": {...}}``; status packets have ``"status"``.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.engine import blob
from engine.core.events import EVENT, EVENT_BYTES, BlobType, Command, Kind
from engine.errors import BadInput

SOCKET = "core.sock"
CHUNK = 48 * 1024
CHOOSE_SLOT = -2  # the ``strategy`` of a MANIFEST that may go to any free slot
MAX_BLOB = 8 * 1024 * 1024

Handle = Callable[[np.ndarray, bytes], dict[str, Any]]


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """A path of the socket that fits the 108 bytes of a UNIX address, however deep the folder lies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def listen(folder: Path) -> socket.socket:
    """The core's listening socket. Whoever holds the core's lock may take an old one's place."""
    (folder / SOCKET).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    with _short_path(folder) as path:
        server.bind(path)
    os.chmod(folder / SOCKET, 0o600)
    server.listen(8)
    return server


def connect(folder: Path) -> socket.socket:
    """A connection to the core. Raises OSError while there is none."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _short_path(folder) as path:
            client.connect(path)
    except OSError:
        client.close()
        raise
    return client


def command_packets(command: Command, slot: int, *, level: int = 0, argument: int = 0, person: int = 0) -> list[bytes]:
    """``level``, ``argument`` and ``person`` are REENABLE's."""
    record = np.zeros(1, EVENT)
    record["instrument"], record["kind"] = -1, Kind.COMMAND
    record["command"], record["strategy"] = command, slot
    record["level"], record["argument"], record["person"] = level, argument, person
    return [b"R" + record.tobytes()]


def blob_packets(blob_type: BlobType, payload: bytes, slot: int) -> list[bytes]:
    """The packets that bring a blob to the core."""
    header = blob(blob_type, payload, strategy=slot, ts=0).tobytes()
    chunks = [payload[start : start + CHUNK] for start in range(0, max(len(payload), 1), CHUNK)]
    return [b"R" + header + chunks[0], *(b"C" + chunk for chunk in chunks[1:])]


class ControlClient:
    """One connection as the core sees it: puts requests together and answers them."""

    def __init__(self, connection: socket.socket, handle: Handle, status: Callable[[], dict[str, Any]]) -> None:
        self.connection, self._handle, self._status = connection, handle, status
        self._header: np.ndarray | None = None
        self._payload = bytearray()

    def on_readable(self) -> bool:
        """Takes the packets that have come; False once the other side is gone."""
        while True:
            try:
                packet = self.connection.recv(EVENT_BYTES + CHUNK + 1)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not packet or not self._take(packet):
                return False

    def send(self, message: dict[str, Any]) -> bool:
        """False when the other side does not read (its buffer is full) or is gone."""
        try:
            self.connection.send(json.dumps(message).encode())
        except OSError:
            return False
        return True

    def _take(self, packet: bytes) -> bool:
        tag, body = packet[:1], packet[1:]
        if tag == b"S":
            return self.send({"status": self._status()})
        if tag == b"R" and len(body) >= EVENT_BYTES:
            self._header = np.frombuffer(body[:EVENT_BYTES], EVENT).copy()
            self._payload = bytearray(body[EVENT_BYTES:])
        elif tag == b"C" and self._header is not None:
            self._payload += body
        else:
            return self._answer(BadInput("packet", "tag", tag, "R with a record, C behind it, or S"))
        return self._whole_request()

    def _whole_request(self) -> bool:
        assert self._header is not None
        header, kind = self._header, int(self._header[0]["kind"])
        wanted = int(header[0]["length"]) if kind == Kind.BLOB else 0
        if kind not in (Kind.BLOB, Kind.COMMAND) or not 0 <= wanted <= MAX_BLOB:
            self._header = None
            return self._answer(BadInput("record", "kind", kind, "a COMMAND, or a BLOB of at most 8 MB"))
        if len(self._payload) < wanted:
            return True
        self._header = None
        try:
            return self.send({"ok": True, **self._handle(header, bytes(self._payload))})
        except BadInput as error:
            return self._answer(error)

    def _answer(self, error: BadInput) -> bool:
        return self.send({"ok": False, **error.as_json()})
