"""Venues as processes with faults and fees of their own, over real sockets."""

import itertools
import json
import signal
from pathlib import Path

import pytest
from exchange_process import ExchangeProcess
from test_exchange_process import OrderClient, told

from engine.protocols import ouch
from engine.protocols import soupbintcp_session as soup


def record(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "var/exchange/record.jsonl").read_text().splitlines()]


@pytest.fixture
def venue(tmp_path: Path):
    running = ExchangeProcess(
        tmp_path,
        [],
        faults={"disconnect_every": 2.0, "hang_every": 2.0, "hang_seconds": 0.3, "reject": 0.2},
        latency={"order": {"fixed_us": 500}, "report": {"fixed_us": 500, "mean_us": 500}},
        fees={"removed": 30},
        auctions=True,
    )
    yield running
    running.kill()


def test_client_that_is_cut_finds_everything_it_was_told_when_it_comes_back(venue: ExchangeProcess, tmp_path: Path):
    ports = venue.start()["ports"]
    client = OrderClient(ports["ouch"])
    client.wait(lambda event: isinstance(event, soup.LoggedIn))
    client.wait(told(ouch.SystemEvent, event_code="S"))
    with pytest.raises(OSError):  # noqa: PT012 - which call meets the cut is chance
        for number in itertools.count(1):
            client.send(ouch.EnterOrder(number, "B", 10, "KO", 10_0000))
            client._read()
    again = OrderClient(ports["ouch"], session=client.session.session)
    again.wait(lambda event: isinstance(event, soup.LoggedIn))
    again.send(ouch.AccountQuery())
    _, response = again.wait(told(ouch.AccountQueryResponse))
    before = [event for event in client.events if isinstance(event, tuple)]
    stream = [event for event in again.events if isinstance(event, tuple)]
    assert stream[: len(before)] == before
    answered = [m.user_ref_num for _, m in stream if isinstance(m, ouch.Accepted | ouch.Rejected)]
    assert answered == list(range(1, response.next_user_ref_num))

    venue.process.send_signal(signal.SIGTERM)
    out, _ = venue.process.communicate(timeout=30)
    faults = json.loads(out.splitlines()[-1])["faults"]
    assert faults["disconnects"] >= 1
    assert faults["rejects"] == sum(line["type"] == "reject" for line in record(tmp_path))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"faults": {"drop": 2}}, "faults.drop"),
        ({"latency": {"report": {"fixed_us": -1}}}, "latency.report.fixed_us"),
        ({"halts": [{"symbol": "NOPE", "begin": "11:00"}]}, "halts"),
        ({"collar": -1}, "collar"),
    ],
)
def test_faults_and_latencies_that_make_no_sense_are_refused(venue: ExchangeProcess, change: dict, field: str):
    path = venue.folder / "exchange.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert venue.start()["error"]["field"] == field
    venue.process.communicate(timeout=30)
    assert venue.process.returncode == 2
