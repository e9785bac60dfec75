"""A relay between an engine and its venue's order port: a link that can be cut by itself, by killing this process.

``python -m control.local.relay --venue PORTS --announce PORTS``: reads where the venue listens, listens on a port of
its own, and writes the venue's ports with that one in the place of the venue's order port. Bytes pass as they come;
where one side ends, so does the other. It loads neither Django nor the engine.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from control.local.ports import LOOPBACK
from control.local.processes import write_atomically

CHUNK = 65_536
LOOK_SECONDS = 0.25  # how soon another order port of the venue's is seen


class Relay:
    """``venue`` is the venue's file of ports, ``announce`` the one that engines read."""

    def __init__(self, venue: Path, announce: Path) -> None:
        self.venue, self.announce = venue, announce
        self._ports: dict[str, Any] = {}

    async def serve(self) -> None:
        server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        port = server.sockets[0].getsockname()[1]
        while True:
            self._follow(port)
            await asyncio.sleep(LOOK_SECONDS)

    def _follow(self, port: int) -> None:
        try:
            ports = json.loads(self.venue.read_text())
        except (OSError, ValueError):
            return  # not there yet, or half written: the next look finds it
        if ports != self._ports:
            self._ports = ports
            write_atomically(self.announce, json.dumps(ports | {"ouch": port}))
            print(json.dumps({"ports": {"ouch": port}}), flush=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(LOOPBACK, int(self._ports["ouch"]))
        except OSError as error:
            print(f"the venue does not answer: {error}", file=sys.stderr, flush=True)
            writer.close()
            return
        await asyncio.gather(_pump(reader, upstream[1]), _pump(upstream[0], writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError as error:
        print(f"a side is gone: {error}", file=sys.stderr, flush=True)
    finally:
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--venue", "--announce"):
        parser.add_argument(name, type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(Relay(arguments.venue, arguments.announce).serve())


if __name__ == "__main__":
    main()
