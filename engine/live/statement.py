"""What somebody else says that we hold, set against the journal before anything is sent.

A statement (of the clearing firm, the custodian, the day's close) is a JSON file: ``{"date": yyyymmdd, "positions":
{"KO": 100, ...}}``, shares at the close of that day, symbols without a position left out. A difference is a break:
its symbol does not trade until a person has booked what is missing (``adjust``) or found the statement wrong, and
resolved it.
"""

import logging

import msgspec
import numpy as np

from engine.configuration import read_configuration
from engine.core.engine import Engine
from engine.core.events import Break, Command, command_event
from engine.core.state import Phase

log = logging.getLogger("engine.core")


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    date: int
    positions: dict[str, int]


def read_statement(path: str) -> Statement:
    """Raises BadInput."""
    statement: Statement = read_configuration(path, Statement, "positions_file")
    return statement


def breaks_with(statement: Statement, engine: Engine, ts: int) -> list[np.ndarray]:
    """A command to open a break for each symbol whose position differs; its value is the stated one.

    Nothing is compared once the engine has traded on: a statement of an earlier day, or of one that has not closed,
    says nothing of what is held now.
    """
    date, phase = int(engine.state["date"]), int(engine.state["phase"])
    if date > statement.date or (date == statement.date and phase != Phase.CLOSED):
        log.warning("the statement of %d is older than the session of %d: not compared", statement.date, date)
        return []
    for symbol in sorted(statement.positions.keys() - set(engine.instruments)):
        log.error("%s: %d shares are stated, which this engine does not trade", symbol, statement.positions[symbol])
    held = engine.state["positions"]["position"].sum(axis=0)
    return [
        _open_break(ts, instrument, statement.positions.get(symbol, 0))
        for instrument, symbol in enumerate(engine.instruments)
        if int(held[instrument]) != statement.positions.get(symbol, 0)
    ]


def _open_break(ts: int, instrument: int, stated: int) -> np.ndarray:
    command = command_event(ts, Command.OPEN_BREAK, -1)
    command["level"], command["argument"], command["ref"] = Break.POSITION_DIFFERS, instrument, stated
    return command
