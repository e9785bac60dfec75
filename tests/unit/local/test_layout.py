"""The configurations that a run writes are those that exchange and engine read."""

import json
from pathlib import Path

import pytest

from control.local.failures import Refusal
from control.local.layout import ACCOUNT, Layout, day_seconds
from control.local.ports import PORTS
from control.local.stack import Stack
from engine.live.config import load_account, load_config

PORT_NUMBERS = {name: 20_000 + place for place, name in enumerate(PORTS)}


def test_the_engine_takes_its_configuration(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.write_configs(PORT_NUMBERS, ["KO", "PEP"], 2.0)
    config = load_config(layout.engine_config)
    ports = [PORT_NUMBERS["PORT_ENGINE_ITCH"], PORT_NUMBERS["PORT_ENGINE_ITCH_B"]]
    assert list(config.venues[0].itch_addresses.values()) == [("127.0.0.1", port) for port in ports]
    exchange = json.loads(layout.exchange_config.read_text())
    assert [*exchange["receivers"], *exchange["receivers_b"]] == [
        config.venues[0].itch_bind,
        config.venues[0].itch_bind_b,
    ]
    assert config.journal == layout.journal
    assert config.symbols == ["KO", "PEP"]
    account = load_account(config.venues[0].account_file)
    assert account.username == ACCOUNT
    assert 0 < len(account.password) <= 10  # SoupBinTCP has ten characters


def test_every_venue_of_the_engine_is_one_of_the_exchanges(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.write_configs(PORT_NUMBERS, ["KO", "PEP"], 2.0)
    config, exchange = load_config(layout.engine_config), json.loads(layout.exchange_config.read_text())
    served = [exchange, *exchange["others"]]
    assert [venue.name for venue in config.venues] == [one["name"] for one in served]
    for venue, one in zip(config.venues, served, strict=True):
        assert one["receivers"] == [venue.itch_bind]
        assert (one["fees"]["added"], one["fees"]["removed"]) == (venue.adding_fee, venue.taking_fee)
        assert one.get("dark", False) == venue.dark
    assert len({venue.itch_bind for venue in config.venues}) == len({venue.ports_file for venue in config.venues}) == 4
    assert sum(venue.dark for venue in config.venues) == 1


def test_the_exchange_password_is_kept_over_runs(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.write_configs(PORT_NUMBERS, ["KO", "PEP"], 2.0)
    first = layout.account_file.read_text()
    layout.write_configs(PORT_NUMBERS, ["KO", "PEP"], 1.0)
    assert layout.account_file.read_text() == first
    assert layout.account_file.stat().st_mode & 0o777 == 0o600


def test_symbols_are_known_only_where_their_history_is(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.known_symbols() == []
    layout.write_configs(PORT_NUMBERS, ["KO", "PEP"], 2.0)
    assert layout.known_symbols() == []
    manifest = tmp_path / "history" / "bar" / "sp500_20" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    assert layout.known_symbols() == ["KO", "PEP"]


@pytest.mark.parametrize("text", ["0", "fast", "-2", "86401", "nan"])
def test_a_day_has_a_sensible_length(text: str) -> None:
    with pytest.raises(Refusal, match="HELIOGRAPH_DAY_SECONDS"):
        day_seconds({"HELIOGRAPH_DAY_SECONDS": text})


def test_a_day_of_no_sensible_length_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_DAY_SECONDS", "fast")
    layout = Layout(tmp_path / "var")
    with pytest.raises(Refusal, match="HELIOGRAPH_DAY_SECONDS"), Stack(layout) as stack:
        stack.start()
    assert not layout.var.exists()


def test_settings_of_the_environment_stand_over_the_layouts_field_by_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_ENGINE", '{"venues": [{"ports_file": "/other.json"}], "snapshot_records": 5}')
    monkeypatch.setenv("HELIOGRAPH_EXCHANGE", '{"faults": {"drop": 0.01}}')
    layout = Layout(tmp_path)
    layout.write_configs(PORT_NUMBERS, ["KO", "PEP"], 2.0)
    config = load_config(layout.engine_config)
    assert (config.venues[0].ports_file, config.venues[0].name, config.snapshot_records) == ("/other.json", "SIM", 5)
    assert json.loads(layout.exchange_config.read_text())["faults"] == {"drop": 0.01}


@pytest.mark.parametrize("variable", ["HELIOGRAPH_ENGINE", "HELIOGRAPH_EXCHANGE"])
@pytest.mark.parametrize("text", ["faults", "[1]"])
def test_settings_that_are_no_object_are_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    layout = Layout(tmp_path / "var")
    with pytest.raises(Refusal, match=variable), Stack(layout) as stack:
        stack.start()
    assert not layout.var.exists()
