"""Daily bars for tests of the stores."""

import pyarrow as pa

from engine.history import BARS

Bar = tuple[int, str, int | None, int]


def bars(*rows: Bar) -> pa.Table:
    """Rows of (date, symbol, open, close); high, low and volume unknown."""
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    dates, symbols, opens, closes = columns
    unknown = [None] * len(rows)
    return pa.table([dates, symbols, opens, unknown, unknown, closes, unknown], schema=BARS)


TWO_DAYS = bars((20200102, "B", None, 200), (20200103, "A", 11, 110), (20200102, "A", None, 100))
