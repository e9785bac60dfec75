"""The exchange as a process of its own: sockets, kill -9, restart, replay."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from exchange_process import PATIENCE, ExchangeProcess

from engine.protocols import itch, moldudp64, ouch
from engine.protocols import soupbintcp_session as soup


class OrderClient:
    """A blocking SoupBinTCP client; ``events`` are what came, OUCH messages decoded as (number, message)."""

    def __init__(self, port: int, password: str = "secret", session: str = "", sequence: int = 1) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.session = soup.ClientSession("HELIO1", password, session=session, next_sequence=sequence)
        self.session.connect(time.monotonic_ns())
        self.events: list = []
        self._flush()

    def send(self, message: ouch.OuchMessage) -> None:
        self.session.send_unsequenced(ouch.encode(message), time.monotonic_ns())
        self._flush()

    def wait(self, wanted: Callable[[object], bool]):
        """The first event, of those that came or will come, that is ``wanted``."""
        end = time.monotonic() + PATIENCE
        seen = 0
        while time.monotonic() < end:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            self._read()
        raise AssertionError(f"not among {self.events}")

    def _read(self) -> None:
        self.socket.settimeout(0.5)
        try:
            chunk = self.socket.recv(1 << 16)
        except TimeoutError:
            chunk = b""
        for event in self.session.receive(chunk, time.monotonic_ns()) if chunk else []:
            if isinstance(event, soup.Sequenced):
                event = (event.sequence, ouch.decode_outbound(event.payload))
            self.events.append(event)
        self.session.on_time(time.monotonic_ns())
        self._flush()

    def _flush(self) -> None:
        self.socket.sendall(self.session.take())


def told(kind: type, **fields) -> Callable[[object], bool]:
    def wanted(event: object) -> bool:
        message = event[1] if isinstance(event, tuple) else None
        return isinstance(message, kind) and all(getattr(message, name) == value for name, value in fields.items())

    return wanted


@pytest.fixture
def feed() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        yield receiver


@pytest.fixture
def exchange(tmp_path: Path, feed: socket.socket) -> Iterator[ExchangeProcess]:
    running = ExchangeProcess(tmp_path, [feed.getsockname()[1]])
    yield running
    running.kill()


def received(feed: socket.socket, until: Callable[[itch.ItchMessage], bool]) -> list[itch.ItchMessage]:
    messages: list[itch.ItchMessage] = []
    while not any(until(message) for message in messages):
        packet = moldudp64.decode(feed.recv(1 << 16))
        messages += [itch.decode(message) for message in moldudp64.unframe(packet.block, packet.messages)]
    return messages


def test_orders_and_stream_survive_kill_nine(exchange: ExchangeProcess, feed: socket.socket, tmp_path: Path):
    ports = exchange.start()["ports"]
    wrong = OrderClient(ports["ouch"], password="wrong")
    assert wrong.wait(lambda event: isinstance(event, soup.LoginRejected)).reason == "A"

    client = OrderClient(ports["ouch"])
    client.wait(lambda event: isinstance(event, soup.LoggedIn))
    market_data = received(feed, lambda m: isinstance(m, itch.AddOrder) and m.stock == "PEP" and m.side == "S")
    assert [m.event_code for m in market_data if isinstance(m, itch.SystemEvent)] == ["O", "S", "Q"]
    client.send(ouch.EnterOrder(1, "B", 100, "KO", 45_0000, time_in_force="3"))
    _, executed = client.wait(told(ouch.Executed, user_ref_num=1))
    client.send(ouch.EnterOrder(2, "B", 50, "PEP", 10_0000))
    client.wait(told(ouch.Accepted, user_ref_num=2))
    before = [event for event in client.events if isinstance(event, tuple)]
    exchange.kill()

    about = exchange.start()
    assert (about["first_day"], about["cancelled_leftovers"]) == (20130103, 1)
    again = OrderClient(about["ports"]["ouch"], session=client.session.session)
    again.wait(lambda event: isinstance(event, soup.LoggedIn))
    again.wait(told(ouch.Canceled, user_ref_num=2, quantity=50, reason="Z"))
    assert [event for event in again.events if isinstance(event, tuple)][: len(before)] == before
    again.send(ouch.AccountQuery())
    again.wait(told(ouch.AccountQueryResponse, next_user_ref_num=3))

    lines = [json.loads(line) for line in (tmp_path / "var/exchange/record.jsonl").read_text().splitlines()]
    (execution,) = [line for line in lines if line["match_number"] == executed.match_number]
    assert (execution["user_ref_num"], execution["qty"], execution["price"]) == (1, executed.quantity, executed.price)
    exchange.process.send_signal(signal.SIGTERM)
    out, _ = exchange.process.communicate(timeout=30)
    assert exchange.process.returncode == 0
    assert json.loads(out.splitlines()[-1])["ok"] is True


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dataset": "nope"}, None),
        ({"start": "2031-01-01", "end": "2031-02-01"}, "no_days"),
        ({"day_seconds": 0}, "out_of_range"),
        ({"receivers": ["nowhere"]}, "bad_address"),
        ({"surprise": 1}, "bad_config"),
        ({"accounts_file": "/nonexistent/accounts"}, "unreadable"),
    ],
)
def test_wrong_configuration_is_refused_with_exit_code_two(exchange: ExchangeProcess, change: dict, code: str | None):
    path = exchange.folder / "exchange.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    error = exchange.start()["error"]
    exchange.process.communicate(timeout=30)
    assert exchange.process.returncode == 2
    assert code is None or error["code"] == code
    assert not (exchange.folder / "var/exchange/record.jsonl").exists()
