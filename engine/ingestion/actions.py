"""Corporate actions from a csv: date (the first day that trades without it), symbol, action, numerator, denominator,
amount. A split gives ``numerator`` new shares for ``denominator`` old ones; a dividend pays ``amount`` a share.

They become rows of ``corporate_action`` at midnight of their day in New York: events that a backtest meets in their
time. Prices stay as they were traded, for adjusting them when they are read would tell the past of the future.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.events import Action
from engine.errors import BadInput
from engine.history import fields
from engine.history.rawfile import read_raw
from engine.history.tables import TABLES, by_time
from engine.ingestion.rows import Batch, local_midnight

NEEDED = ("date", "symbol", "action", "numerator", "denominator", "amount")
CODES = {"split": int(Action.SPLIT), "dividend": int(Action.DIVIDEND)}


def is_actions(path: Path) -> bool:
    """Whether a csv's header has a column ``action``."""
    if not path.name.lower().endswith(".csv"):
        return False
    with path.open("rb") as file:
        return b"action" in [name.strip() for name in file.readline(4096).lower().split(b",")]


def read(path: Path) -> Iterator[Batch]:
    """One batch. Raises ``BadInput`` that names row and column of the first fault."""
    raw = read_raw(path)
    header = {name.strip().lower(): name for name in raw.columns}
    missing = [name for name in NEEDED if name not in header]
    if missing or raw.errors:
        raise BadInput("missing_column", "header", ", ".join(missing) or raw.errors[0].reason, ", ".join(NEEDED))
    text = {name: raw.columns[header[name]] for name in NEEDED}
    symbols, names = fields.symbols(text["symbol"])
    columns = {"date": fields.dates(text["date"]), "symbol": symbols, "amount": fields.prices(text["amount"])}
    columns |= {name: fields.volumes(text[name]) for name in ("numerator", "denominator")}
    actions = [one.lower() for one in text["action"].to_pylist()]
    for name, column in columns.items():
        for at, reason in column.reasons.items():
            raise BadInput("bad_row", f"row {raw.rows[at]}, column {header[name]}", reason, "a corporate action")
    codes = np.zeros(len(actions), np.int64)
    for at, action in enumerate(actions):
        codes[at] = _code(action, {name: int(columns[name].values[at]) for name in NEEDED[3:]}, int(raw.rows[at]))
    midnights = {day: local_midnight(day) for day in set(columns["date"].values.tolist())}
    values: dict[str, Any] = {
        "time": [midnights[day] for day in columns["date"].values.tolist()],
        "symbol": [names[at] for at in symbols.values.tolist()],
        "seq": range(1, len(codes) + 1),
        "code": codes,
        **{name: columns[name].values for name in NEEDED[3:]},
    }
    schema = TABLES["corporate_action"]
    yield "corporate_action", by_time(pa.table(values).select(schema.names).cast(schema))


def _code(action: str, figures: dict[str, int], row: int) -> int:
    if action not in CODES:
        raise BadInput("bad_row", f"row {row}, column action", action, " or ".join(CODES))
    split = action == "split"
    whole = figures["numerator"] > 0 and figures["denominator"] > 0
    if (split and not whole) or (not split and not figures["amount"]):
        expected = "numerator and denominator above 0" if split else "an amount above 0"
        raise BadInput("bad_row", f"row {row}", action, expected)
    return CODES[action]
