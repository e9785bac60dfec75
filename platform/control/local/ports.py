"""Which port each service listens on: from the environment, checked before anything starts."""

import socket
from collections.abc import Iterable, Mapping

from control.local.failures import Refusal

LOOPBACK = "127.0.0.1"

# variable: (default, socket type). Fixed defaults, so that a bookmark and a psql alias keep working.
PORTS: dict[str, tuple[int, socket.SocketKind]] = {
    "PORT_WEB": (8000, socket.SOCK_STREAM),
    "PORT_LINK": (8001, socket.SOCK_STREAM),
    "PORT_PG": (54329, socket.SOCK_STREAM),
    "PORT_VALKEY": (63799, socket.SOCK_STREAM),
    "PORT_ITCH": (26400, socket.SOCK_DGRAM),  # the exchange's market data requests (MoldUDP64)
    "PORT_OUCH": (26401, socket.SOCK_STREAM),  # the exchange's order entry (SoupBinTCP)
    "PORT_ENGINE_ITCH": (26402, socket.SOCK_DGRAM),  # where the engine receives market data, line A
    "PORT_ENGINE_ITCH_B": (26403, socket.SOCK_DGRAM),  # and line B, of the first venue; the others have one line
    "PORT_ENGINE_ITCH_EAST": (26404, socket.SOCK_DGRAM),
    "PORT_ENGINE_ITCH_INVERT": (26405, socket.SOCK_DGRAM),
    "PORT_ENGINE_ITCH_DARK": (26406, socket.SOCK_DGRAM),
}


def wanted_port(variable: str, environ: Mapping[str, str]) -> int:
    """The port that ``variable`` asks for, or its default; 0 stands for any free one."""
    default, _ = PORTS[variable]
    text = environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) > 65535:
        raise Refusal("bad_port", variable, text, "a number from 0 (any free port) to 65535")
    return int(text)


def allocate(environ: Mapping[str, str], variables: Iterable[str] = tuple(PORTS)) -> dict[str, int]:
    """A free port for each variable; a taken one is refused with the name of the variable that moves it.

    All sockets stay bound until the last port is found, so that no free port is handed out twice.
    """
    held: list[socket.socket] = []
    found: dict[str, int] = {}
    try:
        for variable in sorted(variables, key=lambda name: wanted_port(name, environ) == 0):
            held.append(_bind(variable, wanted_port(variable, environ)))
            found[variable] = held[-1].getsockname()[1]
    finally:
        for bound in held:
            bound.close()
    return found


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Any port that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def _bind(variable: str, port: int) -> socket.socket:
    kind = PORTS[variable][1]
    bound = socket.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        # A port whose last connections are in TIME_WAIT is free for a server.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(1)
    except OSError as error:
        bound.close()
        raise Refusal(
            "port_taken", variable, port, f"a free port; set {variable} to another, or to 0 for any free one"
        ) from error
    return bound
