"""A connection to a kdb+ server that calls named functions only: PyKX as an IPC client, which needs no licence.

PyKX is proprietary and an extra: ``pip install pykx`` (see docs/history.md). It is imported where a connection is made.
"""

import os
import threading
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from engine.errors import BadInput, MissingPrerequisite

PORT = 5000
TIMEOUT = 60.0  # seconds, of one answer
FORM = "kdb://user:password@host:port, or kdbs:// over TLS"


class HistoryUnavailable(RuntimeError):
    """The history server cannot be reached, refuses the credentials, or broke off."""


class Address(NamedTuple):
    host: str
    port: int
    user: str
    password: str
    tls: bool


def parse_url(url: str) -> Address:
    """The parts of ``KDB_URL``. Raises ``BadInput``, which does not repeat the password."""
    parts = urlsplit(url)
    try:
        port = parts.port or PORT
    except ValueError:
        port = 0
    if parts.scheme not in ("kdb", "kdbs") or not parts.hostname or not port:
        raise BadInput("bad_url", "KDB_URL", f"{parts.scheme}://{parts.hostname or ''}", FORM)
    user, password = (unquote(part or "") for part in (parts.username, parts.password))
    return Address(parts.hostname, port, user, password, parts.scheme == "kdbs")


def pykx() -> Any:
    """The PyKX module, unlicensed. Raises ``MissingPrerequisite`` where it is not installed."""
    os.environ.setdefault("PYKX_UNLICENSED", "true")
    os.environ.setdefault("PYKX_IGNORE_QHOME", "true")
    try:
        import pykx
    except ImportError as error:
        raise MissingPrerequisite("pykx, which KDB_URL needs", ".venv/bin/pip install pykx==4.2.0") from error
    return pykx


class KdbConnection:
    """One connection a process and thread, opened at the first call and again after it broke."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self.address, self._timeout = parse_url(url), timeout
        self._local = threading.local()

    def __call__(self, function: str, *arguments: Any) -> Any:
        """What a named function answers, as a PyKX object.

        Raises ``HistoryUnavailable`` where no answer came (whether it was done is unknown then), ``BadInput`` with the
        code that the function signalled: ``code field: text``, as ``deploy/kdb`` words it.
        """
        kx, connection = self._connected()
        try:
            return connection(function, *arguments)
        except kx.QError as error:
            if str(error) == "Query timed out":
                self.close()
                raise HistoryUnavailable(f"{function}: no answer in {self._timeout:g} s") from error
            raise _refusal(function, str(error)) from error
        except (OSError, RuntimeError, kx.PyKXException) as error:
            self.close()
            raise HistoryUnavailable(f"{function}: {error}") from error

    def close(self) -> None:
        """Close this thread's connection; the next call opens another."""
        process, connection = getattr(self._local, "opened", (0, None))
        self._local.opened = (0, None)
        if connection is not None and process == os.getpid():
            # Now, and not when it is collected: its descriptor may be another connection's by then.
            connection.close()

    def _connected(self) -> tuple[Any, Any]:
        kx = pykx()
        process, connection = getattr(self._local, "opened", (0, None))
        if connection is None or process != os.getpid():  # a connection must not cross a fork (Celery)
            connection = self._open(kx)
            self._local.opened = (os.getpid(), connection)
        return kx, connection

    def _open(self, kx: Any) -> Any:
        to = self.address
        try:
            return kx.SyncQConnection(
                to.host,
                to.port,
                username=to.user,
                password=to.password,
                tls=to.tls,
                no_ctx=True,
                timeout=self._timeout,
            )
        except (OSError, RuntimeError, kx.PyKXException) as error:
            raise HistoryUnavailable(f"kdb+ at {to.host}:{to.port}: {error}") from error


def _refusal(function: str, text: str) -> BadInput | HistoryUnavailable:
    code, _, rest = text.partition(" ")
    field, colon, expected = rest.partition(": ")
    if not colon:
        return HistoryUnavailable(f"{function}: q says '{text}")
    return BadInput(code, field, field, expected)
