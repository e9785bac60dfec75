"""Market history: one interface over the stores, ingestion of files into it, and data-quality checks.

``open_history(root)`` gives the embedded store (Parquet parts read by DuckDB). Prices are int64 in 1/10,000 of the
currency, volumes whole shares, dates int64 yyyymmdd.
"""

from engine.history.store import (
    BARS,
    Appended,
    CorruptHistory,
    DatasetDescription,
    DatasetMeta,
    History,
    Panel,
    open_history,
)

__all__ = [
    "BARS",
    "Appended",
    "CorruptHistory",
    "DatasetDescription",
    "DatasetMeta",
    "History",
    "Panel",
    "open_history",
]
