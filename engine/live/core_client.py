"""The agent's connection to the core's control socket."""

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

from engine.core.events import BlobType, Command
from engine.core.signature import Signature
from engine.errors import BadInput
from engine.live.control import CHOOSE_SLOT, blob_packets, command_packets, connect
from engine.live.person_commands import signed

log = logging.getLogger("engine.agent")

ANSWER_SECONDS = 10.0
PACKET = 1 << 20


class CoreGone(ConnectionError):
    """The core ended, or did not answer, while it was asked; the request may have been journaled."""


class CoreClient:
    """``status`` is the newest the core has sent (each half second), None before the first."""

    def __init__(self, connection: socket.socket) -> None:
        self.status: dict[str, Any] | None = None
        self.status_at = 0.0
        self._connection = connection
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._asking = asyncio.Lock()
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, folder: Path, seconds: float) -> "CoreClient":
        """Waits up to ``seconds`` for the core to listen. Raises CoreGone."""
        give_up = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                connection = connect(folder)
            except OSError as error:
                if asyncio.get_running_loop().time() > give_up:
                    raise CoreGone(f"the core does not listen after {seconds:.0f} s") from error
                await asyncio.sleep(0.05)
                continue
            connection.setblocking(False)
            return cls(connection)

    @property
    def gone(self) -> bool:
        return self._reader.done()

    async def refresh(self) -> dict[str, Any]:
        """The status as of now."""
        async with self._asking:
            self._news.clear()
            await self._send([b"S"])
            await self._before_timeout(self._news.wait())
            assert self.status is not None
            return self.status

    async def command(self, command: Command, slot: int) -> None:
        """Raises BadInput or CoreGone."""
        await self._ask(command_packets(command, slot))

    async def resolve(self, signature: Signature, value: int) -> None:
        """Raises BadInput, also when that break is not open any more, or CoreGone."""
        await self._ask([signed(Command.RESOLVE_BREAK, signature, ref=value)])

    async def load(self, blob_type: BlobType, payload: bytes, slot: int = CHOOSE_SLOT) -> int:
        """Brings a blob; returns its slot. Raises BadInput or CoreGone."""
        return int((await self._ask(blob_packets(blob_type, payload, slot)))["slot"])

    def close(self) -> None:
        self._reader.cancel()
        self._connection.close()

    async def _ask(self, packets: list[bytes]) -> dict[str, Any]:
        async with self._asking:
            await self._send(packets)
            answer = await self._before_timeout(self._answers.get())
        if not answer["ok"]:
            raise BadInput(**answer["error"])
        return answer

    async def _send(self, packets: list[bytes]) -> None:
        try:
            for packet in packets:
                await asyncio.get_running_loop().sock_sendall(self._connection, packet)
        except OSError as error:
            raise CoreGone(str(error)) from error

    async def _before_timeout(self, waiting: Any) -> Any:
        """``waiting``'s result, unless the core goes away or is silent for too long."""
        task = asyncio.ensure_future(waiting)
        await asyncio.wait({task, self._reader}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            raise CoreGone("the core ended" if self.gone else f"no answer within {ANSWER_SECONDS:.0f} s")
        return task.result()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                packet = await loop.sock_recv(self._connection, PACKET)
            except OSError:
                return
            if not packet:
                return
            message = json.loads(packet)
            if "status" in message:
                self.status, self.status_at = message["status"], loop.time()
                self._news.set()
            else:
                self._answers.put_nowait(message)
