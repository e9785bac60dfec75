"""What a history store offers, whichever it is: the interface, its rows and its types.

A *dataset* is a named set of daily bars, at most one for a symbol and a day. Each bar says what is not known
with a null (a panel of closes has no opens); a close is always known.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.dates import Day
from engine.history.tables import Ticks

BARS = pa.schema(
    [
        pa.field("date", pa.int64(), nullable=False),  # yyyymmdd
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("open", pa.int64()),  # prices in 1/10,000, null = unknown
        pa.field("high", pa.int64()),
        pa.field("low", pa.int64()),
        pa.field("close", pa.int64(), nullable=False),
        pa.field("volume", pa.int64()),  # shares, null = unknown
    ]
)
FIRST_DAY, LAST_DAY = 19000101, 21001231


class DatasetDescription(msgspec.Struct, frozen=True):
    """What the importer says about a dataset; the store keeps it beside the rows."""

    source: str = ""
    adjusted: bool = False  # prices are adjusted for splits and dividends
    survivors_only: bool = False  # holds only what was still listed at the end
    notes: str = ""


class DatasetMeta(msgspec.Struct, frozen=True):
    """A dataset as the store has it. ``first`` and ``last`` are yyyymmdd; ``symbols`` is sorted."""

    name: str
    source: str
    adjusted: bool
    survivors_only: bool
    notes: str
    opens_known: bool  # False: the dataset has closes only
    first: int
    last: int
    symbols: tuple[str, ...]
    rows: int
    data_hash: str


class Panel(NamedTuple):
    """One price a day and symbol: ``dates`` int64 [n] yyyymmdd, ``prices`` int64 [n, m] in 1/10,000, 0 = unknown."""

    dates: NDArray[np.int64]
    symbols: list[str]
    prices: NDArray[np.int64]


class Appended(NamedTuple):
    """What an append did, in bars: new ones, replaced ones, and ones that were there with the same figures."""

    added: int
    replaced: int
    unchanged: int
    data_hash: str


class CorruptHistory(RuntimeError):
    """The store's files are not what its manifest says: a part is missing, or holds other rows."""


class History(Ticks, Protocol):
    """A history store: daily bars by dataset, and the tables of ``engine.history.tables``.

    Reading never sees a half-written append; any number of readers beside one writer."""

    def append_bars(
        self,
        dataset: str,
        table: pa.Table,
        description: DatasetDescription | None = None,
        *,
        replace: bool = False,
    ) -> Appended:
        """Add bars (schema ``BARS``, any order) to a dataset, which is made where it is new.

        Bars already there with the same figures are left. Bars there with other figures are refused
        unless ``replace``. Raises ``BadInput`` and changes nothing where a bar breaks the schema, a
        symbol has a day twice, or ``description`` contradicts the dataset's ``adjusted``.
        """
        ...

    def bars(
        self, dataset: str, symbols: Sequence[str] | None = None, start: Day | None = None, end: Day | None = None
    ) -> pa.Table:
        """Bars of schema ``BARS``, ordered by date and symbol; ``start`` and ``end`` inclusive."""
        ...

    def closes(
        self, dataset: str, start: Day | None = None, end: Day | None = None, symbols: Sequence[str] | None = None
    ) -> Panel:
        """Closes of all days on which any of the symbols has a bar; columns in the order of ``symbols``, or sorted."""
        ...

    def opens(
        self, dataset: str, start: Day | None = None, end: Day | None = None, symbols: Sequence[str] | None = None
    ) -> Panel:
        """Opens, of the same shape as ``closes``; all 0 for a dataset that has none."""
        ...

    def datasets(self) -> list[DatasetMeta]:
        """Every dataset, by name."""
        ...

    def describe(self, dataset: str) -> DatasetMeta:
        """One dataset. Raises ``BadInput`` for an unknown name."""
        ...

    def data_hash(self, dataset: str) -> str:
        """SHA-256 (hex) of the dataset's rows, computed from the rows themselves, whatever parts they lie in.

        Raises ``CorruptHistory`` where the rows are not those that were written.
        """
        ...


def open_history(root: Path | str) -> History:
    """The store: kdb+ where ``KDB_URL`` names a server, else the embedded one under the folder ``root``.

    The folder is made at the first append; no connection is made before the first question. Raises ``BadInput`` for
    a ``KDB_URL`` that is none.
    """
    if url := os.environ.get("KDB_URL"):
        from engine.history.kdb import KdbHistory

        return KdbHistory(url)
    from engine.history.embedded import ParquetHistory

    return ParquetHistory(Path(root))
