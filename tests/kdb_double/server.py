"""Connections of the double: handshake, messages to named functions, results and errors back."""

import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdb_double.wire import RESPONSE, SYNC, QError, encode, message, parse

TESTS = Path(__file__).resolve().parents[1]
USER, PASSWORD = "desk", "a password"
CAPABILITY = 3  # compression, timestamp, timespan, UUID (code.kx.com/q/basics/ipc: handshake)
Function = Callable[..., Any]


class KdbDouble:
    """A server on 127.0.0.1 that answers named functions and nothing else, as ``deploy/kdb/access.q`` does.

    It is a process of its own: PyKX holds the GIL while it waits, so a thread beside it could never answer.
    ``functions`` names a set of ``kdb_double.__main__``; ``compressed`` makes it answer as to another host.
    """

    def __init__(self, functions: str = "reference", *, compressed: bool = False) -> None:
        self._command = [sys.executable, "-m", "kdb_double", functions, *(["--compressed"] if compressed else [])]

    def __enter__(self) -> "KdbDouble":
        paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def url(self) -> str:
        return f"kdb://{USER}:{PASSWORD}@127.0.0.1:{self.port}"


class Server:
    """What runs in that process."""

    def __init__(self, functions: dict[str, Function], compressed: bool) -> None:
        self.functions, self.compressed = functions, compressed
        self.lock = threading.Lock()  # q answers one message after another

    def run(self) -> None:
        """Say the port on stdout, then serve until killed."""
        served = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                served.serve(self.request)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()

    def serve(self, connection: socket.socket) -> None:
        """One client, until it closes; one that may not enter is closed without an answer, as q does."""
        with connection:
            greeting = b""
            while not greeting.endswith(b"\0"):
                byte = connection.recv(1)
                if not byte:
                    return
                greeting += byte
            if greeting[:-2].decode() != f"{USER}:{PASSWORD}":
                return
            connection.sendall(bytes([min(greeting[-2], CAPABILITY)]))
            while header := _receive(connection, 8):
                (length,) = struct.unpack("<i", header[4:])
                kind, value = parse(header + _receive(connection, length - 8))
                answer = self._answer(value)
                if kind == SYNC:
                    connection.sendall(message(RESPONSE, answer, compressed=self.compressed))

    def _answer(self, value: Any) -> Any:
        try:
            if not isinstance(value, list) or not isinstance(value[0], (bytes, str)):
                raise QError("not_allowed")
            name = value[0].decode() if isinstance(value[0], bytes) else value[0]
            if name not in self.functions:
                raise QError("not_allowed")
            with self.lock:
                result = self.functions[name](*value[1:])
            encode(result)
            return result
        except QError as error:
            return error
        except Exception:  # a fault of the double: the client sees it as q's error, the test's output the trace
            traceback.print_exc()
            return QError("double")


def _receive(connection: socket.socket, count: int) -> bytes:
    """Exactly ``count`` bytes, or none where the client is gone."""
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(min(count - len(received), 1 << 20))
        if not piece:
            return b""
        received += piece
    return bytes(received)
