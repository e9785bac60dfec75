"""Files of ticks into rows of a history store: LEAN and LOBSTER archives, ITCH files, Binance captures.

Each reader yields batches of (table, rows), ordered in time, numbered by ``seq`` from 1 within a table, so that the
same file brings the same rows again. Times become ns UTC. What cannot be read raises ``BadInput`` that names the row.
"""

from engine.ingestion.files import TickFile, is_ticks, open_ticks
from engine.ingestion.lean_daily import read_daily
from engine.ingestion.load import Loaded, load_ticks

__all__ = ["Loaded", "TickFile", "is_ticks", "load_ticks", "open_ticks", "read_daily"]
