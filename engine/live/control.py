"""The core's control socket: records from the agent (and the command line) in, answers and status out.

A UNIX SOCK_SEQPACKET socket ``core.sock`` in the engine's folder, mode 0600. A request is one packet with a tag:

- ``R`` and an EVENT record (COMMAND, CORPORATE_ACTION, ADJUSTMENT or BLOB), followed by the beginning of the blob's
  payload, or by the signature (``engine.core.signature``) of a command that a person gives; ``C`` and more of it;
- ``S`` asks for the status;
- ``W`` and JSON (``scope``, ``below``) asks how many orders that a kill ends have not ended.

Every whole request is answered by one JSON packet: ``{"ok": true, "slot": n}`` or ``{"ok": false, "error": {...}}``;
status packets have ``"status"``.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.core.engine import blob
from engine.core.events import EVENT, EVENT_BYTES, BlobType, Command, Kind
from engine.errors import BadInput

SOCKET = "core.sock"
CHUNK = 48 * 1024
CHOOSE_SLOT = -2  # the ``strategy`` of a MANIFEST that may go to any free slot
MAX_BLOB = 8 * 1024 * 1024
TAKEN = frozenset({Kind.COMMAND, Kind.CORPORATE_ACTION, Kind.ADJUSTMENT, Kind.BLOB})
ANSWER_SECONDS = 10.0
STATUS_BYTES = 1 << 20

Handle = Callable[[np.ndarray, bytes], dict[str, Any]]
Waiting = Callable[[str, int], int]


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


def record_packets(kind: Kind, instrument: int = -1, side: int = 0, **payload: int) -> list[bytes]:
    """The packet that brings one record to the core, which stamps it."""
    record = np.zeros(1, EVENT)
    record["kind"], record["instrument"], record["side"] = kind, instrument, side
    for name, value in payload.items():
        record[name] = value
    return [b"R" + record.tobytes()]


def ask(connection: socket.socket, packet: bytes) -> dict[str, Any]:
    """One request over a blocking connection. Raises OSError (also for silence), BadInput for a refusal."""
    connection.send(packet)
    while True:
        answer = connection.recv(STATUS_BYTES)
        if not answer:
            raise ConnectionResetError("the core has ended")
        message = json.loads(answer)
        if "status" in message and packet != b"S":
            continue
        if message.get("ok") is False:
            raise BadInput(**message["error"])
        return message


def command_packets(command: Command, slot: int, **payload: int) -> list[bytes]:
    """``payload`` is REENABLE's level, argument and person."""
    return record_packets(Kind.COMMAND, command=command, strategy=slot, **payload)


def blob_packets(blob_type: BlobType, payload: bytes, slot: int) -> list[bytes]:
    """The packets that bring a blob to the core."""
    header = blob(blob_type, payload, strategy=slot, ts=0).tobytes()
    chunks = [payload[start : start + CHUNK] for start in range(0, max(len(payload), 1), CHUNK)]
    return [b"R" + header + chunks[0], *(b"C" + chunk for chunk in chunks[1:])]


def ask_core(folder: Path, packets: list[bytes]) -> dict[str, Any]:
    """Asks the core in ``folder`` and waits for its answer. Raises BadInput when it refuses, OSError without a core."""
    with connect(folder) as client:
        client.settimeout(ANSWER_SECONDS)
        for packet in packets[:-1]:
            client.send(packet)
        return ask(client, packets[-1])


class Question(msgspec.Struct, frozen=True):
    """Of a W packet: how many orders with ids below ``below`` has a kill of ``scope`` not ended?"""

    scope: str
    below: int


class ControlClient:
    """One connection as the core sees it: puts requests together and answers them."""

    def __init__(
        self, connection: socket.socket, handle: Handle, status: Callable[[], dict[str, Any]], waiting: Waiting
    ) -> None:
        self.connection, self._handle, self._status, self._waiting = connection, handle, status, waiting
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
        if tag == b"W":
            return self._how_many(body)
        if tag == b"R" and len(body) >= EVENT_BYTES:
            self._header = np.frombuffer(body[:EVENT_BYTES], EVENT).copy()
            self._payload = bytearray(body[EVENT_BYTES:])
        elif tag == b"C" and self._header is not None:
            self._payload += body
        else:
            return self._answer(BadInput("packet", "tag", tag, "R with a record, C behind it, S or W"))
        return self._whole_request()

    def _how_many(self, body: bytes) -> bool:
        try:
            question = msgspec.json.decode(body, type=Question)
            return self.send({"ok": True, "unacknowledged": self._waiting(question.scope, question.below)})
        except msgspec.DecodeError as error:
            return self._answer(BadInput("question", "packet", f"{len(body)} bytes", str(error)))
        except BadInput as error:
            return self._answer(error)

    def _whole_request(self) -> bool:
        assert self._header is not None
        header, kind = self._header, int(self._header[0]["kind"])
        wanted = int(header[0]["length"]) if kind == Kind.BLOB else 0
        if kind not in TAKEN or not 0 <= wanted <= MAX_BLOB:
            self._header = None
            return self._answer(
                BadInput("record", "kind", kind, "a COMMAND, CORPORATE_ACTION or ADJUSTMENT, or a BLOB of at most 8 MB")
            )
        if len(self._payload) < wanted:
            return True
        self._header = None
        try:
            return self.send({"ok": True, **self._handle(header, bytes(self._payload))})
        except BadInput as error:
            return self._answer(error)

    def _answer(self, error: BadInput) -> bool:
        return self.send({"ok": False, **error.as_json()})
