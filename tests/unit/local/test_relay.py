"""The relay between engine and exchange: passes bytes, and ends both sides with itself or with either of them."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from control.local.processes import wait_until

PATIENCE = 20.0


@pytest.fixture
def venue() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.settimeout(PATIENCE)
        yield listening


@pytest.fixture
def relay(root: Path, tmp_path: Path, venue: socket.socket) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    ports = {"ouch": venue.getsockname()[1], "glimpse": 7}
    (tmp_path / "ports.json").write_text(json.dumps(ports))
    announced = tmp_path / "relay.json"
    paths = ["--venue", str(tmp_path / "ports.json"), "--announce", str(announced)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "platform")])}
    process = subprocess.Popen([sys.executable, "-m", "control.local.relay", *paths], env=environ, cwd=root)
    try:
        assert wait_until(announced.exists, PATIENCE)
        yield process, announced
    finally:
        process.kill()
        process.wait()


def through(announced: Path) -> socket.socket:
    ports = json.loads(announced.read_text())
    assert ports["glimpse"] == 7
    return socket.create_connection(("127.0.0.1", ports["ouch"]), PATIENCE)


def test_bytes_pass_both_ways_and_the_other_ports_are_the_venues(relay, venue):
    with closing(through(relay[1])) as engine, closing(venue.accept()[0]) as exchange:
        engine.sendall(b"order")
        assert exchange.recv(100) == b"order"
        exchange.sendall(b"report")
        assert engine.recv(100) == b"report"


@pytest.mark.parametrize("first", ["engine", "exchange"])
def test_where_one_side_ends_so_does_the_other(relay, venue, first):
    with closing(through(relay[1])) as engine, closing(venue.accept()[0]) as exchange:
        exchange.settimeout(PATIENCE)
        ends, stays = (engine, exchange) if first == "engine" else (exchange, engine)
        ends.close()
        assert stays.recv(100) == b""


def test_killing_it_cuts_both_sides(relay, venue):
    with closing(through(relay[1])) as engine, closing(venue.accept()[0]) as exchange:
        exchange.settimeout(PATIENCE)
        relay[0].send_signal(signal.SIGKILL)
        assert (engine.recv(100), exchange.recv(100)) == (b"", b"")
