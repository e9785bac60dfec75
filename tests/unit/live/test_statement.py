"""Positions by somebody else's word, set against the journal's."""

import json

import pytest
from live_world import DATE, blobs, new_pipeline, opened, record

from engine.core.events import Break, Kind, Session
from engine.errors import BadInput
from engine.live.person_commands import breaks_now
from engine.live.statement import Statement, breaks_with, read_statement


@pytest.fixture
def closed(tmp_path):
    """A session has closed with 100 KO held."""
    pipeline = new_pipeline(tmp_path / "journal")
    blobs(pipeline)
    opened(pipeline)
    pipeline.take(record(Kind.ADJUSTMENT, 0, 1, price=100_000, qty=100, person=7))
    pipeline.take(record(Kind.SESSION, code=Session.CLOSE, date=DATE))
    assert int(pipeline.engine.state["positions"][0, 0]["position"]) == 100
    return pipeline


def compared(pipeline, statement):
    for command in breaks_with(statement, pipeline.engine, 5):
        pipeline.take(command)
    return [(one["symbol"], one["code"], one["value"]) for one in breaks_now(pipeline)]


def test_a_position_that_is_stated_otherwise_is_a_break_of_its_symbol(closed):
    name = Break.POSITION_DIFFERS.name.lower()
    assert compared(closed, Statement(DATE, {"KO": 250, "PEP": -30})) == [("KO", name, 250), ("PEP", name, -30)]


def test_a_position_that_nobody_states_is_a_break_too(closed):
    assert [symbol for symbol, _, _ in compared(closed, Statement(DATE, {}))] == ["KO"]


def test_what_agrees_is_none_and_neither_is_what_is_not_traded_here(closed):
    assert compared(closed, Statement(DATE, {"KO": 100, "XOM": 5})) == []


def test_a_new_journal_is_compared_with_what_was_held_before_it(tmp_path):
    """Its host was lost: all that was executed before is missing."""
    pipeline = new_pipeline(tmp_path / "journal")
    blobs(pipeline)
    assert [symbol for symbol, _, _ in compared(pipeline, Statement(DATE, {"PEP": 40}))] == ["PEP"]


def test_an_older_statement_is_not_compared(closed):
    assert compared(closed, Statement(DATE - 1, {})) == []
    closed.take(record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=DATE + 1))
    assert compared(closed, Statement(DATE, {})) == []


def test_a_file_that_is_no_statement_is_refused_by_its_name(tmp_path):
    path = tmp_path / "held.json"
    path.write_text(json.dumps({"date": 20130102, "positions": {"KO": "many"}}))
    with pytest.raises(BadInput, match="held.json"):
        read_statement(str(path))
