"""Files of ticks into rows of a history store: LEAN and LOBSTER archives, ITCH files, Binance captures.

Each reader yields batches of (table, rows), ordered in time, numbered by ``seq`` from 1 within a table, so that the
same file brings the same rows again. Times become ns UTC. What cannot be read raises ``BadInput`` that names the row.
"""

from engine.ingestion.files import TickFile, open_ticks

__all__ = ["TickFile", "open_ticks"]
