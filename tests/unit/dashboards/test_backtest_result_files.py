"""Reading a backtest's files: drawdown and monthly returns against figures worked out by hand."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboards.backtest import refusals
from dashboards.results import MissingResult, drawdown, monthly_returns, read_result, yearly_return

DAYS = np.array([20211230, 20211231, 20220103, 20220131, 20220201], np.int64)
EQUITY = np.array([110.0, 99.0, 99.0, 118.8, 106.92])


def test_drawdown_is_measured_from_the_highest_value_so_far_the_capital_included() -> None:
    # high 100 (the capital) | 110, 99/110 | 99/110 | 118.8 | 106.92/118.8
    assert drawdown(100.0, EQUITY) == pytest.approx([0, -0.1, -0.1, 0, -0.1])
    assert drawdown(200.0, EQUITY)[0] == pytest.approx(-0.45)


def test_a_months_return_starts_at_the_last_close_before_it() -> None:
    returns = monthly_returns(100.0, DAYS, EQUITY)
    assert list(returns) == [(2021, 12), (2022, 1), (2022, 2)]
    assert list(returns.values()) == pytest.approx([-0.01, 0.2, -0.1])


def test_a_years_return_compounds_its_months() -> None:
    returns = monthly_returns(100.0, DAYS, EQUITY)
    assert yearly_return(returns, 2021) == pytest.approx(-0.01)
    assert yearly_return(returns, 2022) == pytest.approx(1.2 * 0.9 - 1)


def test_files_are_read_as_money_in_the_currency(tmp_path: Path) -> None:
    money = pa.decimal128(20, 4)
    columns = {name: pa.array([Decimal("1.5")], money) for name in ("equity", "unrealised", "realised", "gross")}
    pq.write_table(pa.table({"date": [20220103], **columns}), tmp_path / "equity.parquet")
    pq.write_table(pa.table({"symbol": ["KO"]}), tmp_path / "trades.parquet")
    pq.write_table(pa.table({"pair": ["KO/PEP"]}), tmp_path / "round_trips.parquet")
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
