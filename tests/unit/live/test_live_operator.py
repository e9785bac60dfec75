"""What a person on the engine host tells the core: re-enabling, corporate actions, shares by hand."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_world import SYMBOLS

from engine.__main__ import main
from engine.core.events import Action, Command, Kind
from engine.core.limit_names import Level
from engine.live.agent import ports_by_venue
from engine.live.config import load_config
from engine.live.control import ControlClient, listen


@pytest.fixture
def config(tmp_path: Path) -> Path:
    venue = dict.fromkeys(("name", "ports_file", "clock_file", "account_file"), "x") | {"itch_bind": "127.0.0.1:0"}
    content = {"node": "n", "var": str(tmp_path), "link": "", "token_file": "", "venues": [venue]}
    path = tmp_path / "engine.json"
    path.write_text(json.dumps(content | {"symbols": SYMBOLS, "history": ""}))
    return path


@pytest.fixture
def told(tmp_path: Path) -> Iterator[list[Any]]:
    """Records that a core took over its control socket, from one connection at a time."""
    taken: list[Any] = []
    server = listen(tmp_path)
    server.setblocking(True)

    def handle(header: np.ndarray, _: bytes) -> dict[str, Any]:
        taken.append(header[0].copy())
        return {"slot": 0}

    def serve() -> None:
        connection, _ = server.accept()
        client = ControlClient(connection, handle, dict, lambda _scope, _below: 0)
        client.send({"status": {}})  # comes each half second, and is no answer
        while client.on_readable():
            continue
        connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield taken
    thread.join(5)
    server.close()


def test_reenabling_says_level_and_person(config, told, capsys):
    arguments = ["--level", "symbol", "--symbol", "PEP", "--person", "7"]
    assert main(["reenable", "--config", str(config), *arguments]) == 0
    (record,) = told
    assert (record["kind"], record["command"]) == (Kind.COMMAND, Command.REENABLE)
    assert (record["level"], record["argument"], record["person"]) == (Level.SYMBOL, 1, 7)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["split", "--symbol", "PEP", "--ratio", "2:1"], {"code": Action.SPLIT, "numerator": 2, "denominator": 1}),
        (["dividend", "--symbol", "PEP", "--amount", "4400"], {"code": Action.DIVIDEND, "amount": 4_400}),
        (
            ["shares", "--symbol", "PEP", "--slot", "3", "--qty", "-100", "--price", "500000", "--person", "7"],
            {"side": -1, "qty": 100, "price": 500_000, "person": 7, "strategy": 3},
        ),
    ],
)
def test_adjustments_are_one_record(config, told, arguments, wanted):
    assert main(["adjust", "--config", str(config), *arguments]) == 0
    (record,) = told
    assert record["instrument"] == 1
    assert {name: int(record[name]) for name in wanted} == wanted


@pytest.mark.parametrize(
    "arguments",
    [
        ["adjust", "split", "--symbol", "PEP", "--ratio", "2"],
        ["adjust", "split", "--symbol", "XYZ", "--ratio", "2:1"],
        ["adjust", "dividend", "--symbol", "PEP", "--amount", "0"],
        ["adjust", "shares", "--symbol", "PEP", "--slot", "0", "--qty", "1", "--price", "1", "--person", "0"],
        ["reenable", "--level", "firm", "--person", "0"],
        ["reenable", "--level", "symbol", "--person", "7"],
    ],
)
def test_what_cannot_be_meant_exits_2_and_nothing_is_sent(config, arguments):
    command, *rest = arguments
    assert main([command, "--config", str(config), *rest]) == 2


def test_without_a_core_the_command_says_how_to_start_it(config, capsys):
    assert main(["reenable", "--config", str(config), "--level", "firm", "--person", "7"]) == 3
    assert "engine run" in capsys.readouterr().out


def test_an_option_that_a_benchmark_does_not_take_is_answered_like_all_bad_input(capsys):
    assert main(["bench", "limits", "--no-such-option"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_an_engine_says_its_ports_by_venue_and_line(config):
    content = json.loads(config.read_text())
    (venue,) = content["venues"]
    lines = {"A": {}, "B": {"itch_bind_b": "127.0.0.1:0"}, "C": {}}
    config.write_text(json.dumps(content | {"venues": [venue | {"name": name} | line for name, line in lines.items()]}))
    assert ports_by_venue(load_config(config), [1, 2, 3, 4]) == {
        "ports": {"itch": 1},
        "others": {"B": {"itch": 2, "itch_b": 3}, "C": {"itch": 4}},
    }


def test_an_engine_of_one_venue_says_the_ports_of_its_lines(config):
    content = json.loads(config.read_text())
    content["venues"][0]["itch_bind_b"] = "127.0.0.1:0"
    config.write_text(json.dumps(content))
    assert ports_by_venue(load_config(config), [1, 2]) == {"ports": {"itch": 1, "itch_b": 2}}


def test_without_a_configuration_the_engine_of_make_run_is_meant(tmp_path, monkeypatch, config, told):
    (tmp_path / "config").mkdir()
    config.rename(tmp_path / "config" / "engine.json")
    monkeypatch.setenv("HELIOGRAPH_VAR", str(tmp_path))
    assert main(["reenable", "--level", "firm", "--person", "7"]) == 0
    assert told[0]["command"] == Command.REENABLE
