"""Formations are computed once for the same window, parameters and research code, and again for any other."""

from pathlib import Path

import numpy as np
import pytest

from engine.research import cache as cache_module
from engine.research import cointegration
from engine.research.cointegration import FormationCache, form_pairs

DATES = np.arange(20200001, 20200001 + 300)
SYMBOLS = ["A", "B", "C"]
PARAMETERS = {
    "as_of": 20200251,
    "formation_days": 200,
    "max_pairs": 3,
    "p_value": 0.5,
    "min_half_life": 0.0,
    "max_half_life": 1e6,
}


@pytest.fixture
def closes() -> np.ndarray:
    random = np.random.default_rng(3)
    common = np.cumsum(random.normal(0, 0.01, 300))
    return np.exp(np.stack([common + random.normal(0, 0.01, 300) for _ in SYMBOLS], axis=1))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each formation that is really computed."""
    calls: list[int] = []

    def counted(*args, **kwargs):  # type: ignore[no-untyped-def]
        calls.append(kwargs["as_of"])
        return form_pairs(*args, **kwargs)

    monkeypatch.setattr(cointegration, "form_pairs", counted)
    return calls


def test_the_same_formation_is_computed_once_over_processes(tmp_path: Path, closes, computed) -> None:  # type: ignore[no-untyped-def]
    first = FormationCache(tmp_path).form("hash", closes, DATES, SYMBOLS, **PARAMETERS)
    again = FormationCache(tmp_path).form("hash", closes, DATES, SYMBOLS, **PARAMETERS)
    assert first == again == form_pairs(closes, DATES, SYMBOLS, **PARAMETERS)
    assert first
    assert len(computed) == 1


def test_rows_after_as_of_leave_the_entry_and_rows_of_the_window_do_not(tmp_path: Path, closes, computed) -> None:  # type: ignore[no-untyped-def]
    remembered = FormationCache(tmp_path)
    remembered.form("hash", closes, DATES, SYMBOLS, **PARAMETERS)
    grown = closes.copy()
    grown[250:] = 1.0
    remembered.form("another hash", grown, DATES, SYMBOLS, **PARAMETERS)
    assert len(computed) == 1
    changed = closes.copy()
    changed[249, 0] *= 1.0001
    remembered.form("hash", changed, DATES, SYMBOLS, **PARAMETERS)
    assert len(computed) == 2


@pytest.mark.parametrize("changed", [{"as_of": 20200250}, {"p_value": 0.4}, {"max_pairs": 2}, {"formation_days": 199}])
def test_other_parameters_are_another_entry(tmp_path: Path, closes, computed, changed: dict) -> None:  # type: ignore[no-untyped-def]
    remembered = FormationCache(tmp_path)
    remembered.form("hash", closes, DATES, SYMBOLS, **PARAMETERS)
    remembered.form("hash", closes, DATES, SYMBOLS, **PARAMETERS | changed)
    assert len(computed) == 2


def test_another_build_of_the_research_code_is_another_entry(
    tmp_path: Path, closes, computed, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    remembered = FormationCache(tmp_path)
    remembered.form("hash", closes, DATES, SYMBOLS, **PARAMETERS)
    monkeypatch.setattr(cache_module, "research_build", lambda: "another build")
    remembered.form("hash", closes, DATES, SYMBOLS, **PARAMETERS)
    assert len(computed) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b'{"found": [], "digest": ""}', b"\xff"])
def test_a_damaged_entry_is_computed_again_and_replaced(tmp_path: Path, closes, computed, damage: bytes) -> None:  # type: ignore[no-untyped-def]
    remembered = FormationCache(tmp_path)
    first = remembered.form("hash", closes, DATES, SYMBOLS, **PARAMETERS)
    [entry] = tmp_path.rglob("*.json")
    intact = entry.read_bytes()
    for content in (damage, intact.replace(b'"a": "A"', b'"a": "C"')):
        entry.write_bytes(content)
        assert remembered.form("hash", closes, DATES, SYMBOLS, **PARAMETERS) == first
        assert entry.read_bytes() == intact
    assert len(computed) == 3
