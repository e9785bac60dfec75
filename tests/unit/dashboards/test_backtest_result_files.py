"""Reading a backtest's files."""

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboards.backtest import refusals
from dashboards.results import MissingResult, read_result


def test_files_are_read_as_money_in_the_currency(tmp_path: Path) -> None:
    money = pa.decimal128(20, 4)
    columns = {
        name: pa.array([Decimal("1.5")], money) for name in ("equity", "unrealised", "realised", "gross", "benchmark")
    }
    pq.write_table(pa.table({"date": [20220103], **columns}), tmp_path / "equity.parquet")
    pq.write_table(pa.table({"symbol": ["KO"]}), tmp_path / "trades.parquet")
    pq.write_table(pa.table({"pair": ["KO/PEP"]}), tmp_path / "round_trips.parquet")
    pq.write_table(pa.table({"symbol": ["KO"]}), tmp_path / "symbols.parquet")
    (tmp_path / "result.json").write_text(json.dumps({"manifest": {"capital": 20_000}}))
    result = read_result(tmp_path, "a")
    assert (result.capital, result.dates, result.equity.tolist()) == (2.0, ["2022-01-03"], [1.5])
    assert result.drawdown.tolist() == [-0.25]


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_a_result_that_cannot_be_read_says_so(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(MissingResult, match=tmp_path.name):
        read_result(tmp_path, str(content))


def test_orders_that_limits_refused_are_told_with_the_figures() -> None:
    (notice,) = refusals({"order_notional at firm": 35, "order_qty at firm": 1_405})
    assert "refused 1,440 orders (order notional at firm 35, order qty at firm 1,405)" in notice.children
    assert refusals({}) == []
