"""Where and at what cost a daily backtest fills, on the moving-average strategy; expectations are counted by hand."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.backtest import Costs, Fill, run_backtest
from engine.commands.backtest import costs_of
from engine.content import content_hash
from engine.errors import BadInput
from engine.history import BARS, open_history
from engine.messages import DataContract, LimitEnvelope, Manifest

WIDE = LimitEnvelope(10**9, 10**15, 10**9, 10**15)
FREE = Costs(0, 0.0)
DATES = [20200102, 20200103, 20200106, 20200107, 20200108, 20200109, 20200110]
# SMA(1) above SMA(2) after a rise: up on the 2nd and 3rd close, down on the 4th, up on the 6th and last.
CLOSES = [10.0, 11.0, 12.0, 11.5, 11.5, 12.0, 13.0]
OPENS = [9.9, 10.5, 11.8, 12.1, 11.4, 11.6, 12.5]


def run(root: Path, fill: Fill, costs: Costs = FREE, opens: list[float] | None = OPENS, **window: int) -> Any:
    rows = [
        (day, "AAA", None if opens is None else round(opens[n] * 10_000), None, None, round(CLOSES[n] * 10_000), None)
        for n, day in enumerate(DATES)
    ]
    columns = list(zip(*rows, strict=True))
    history = open_history(root / "history")
    history.append_bars("panel", pa.table([pa.array(c, f.type) for c, f in zip(columns, BARS, strict=True)], BARS))
    parameters = {"fast": 1, "slow": 2, "shares": 100}
    data = DataContract("panel", history.data_hash("panel"))
    digest = content_hash("sma", parameters, WIDE, data)
    manifest = Manifest("", "", "sma", digest, parameters, WIDE, data, "sim", 10_000_0000)
    return run_backtest(manifest, root / "history", root / "out", costs=costs, fill=fill, **window)


def trades(result: Any) -> list[tuple[int, str, float]]:
    rows = pq.read_table(result.files["trades"]).to_pylist()
    return [(row["date"], row["side"], float(row["price"])) for row in rows]


def equity(result: Any) -> list[float]:
    return [float(row["equity"]) for row in pq.read_table(result.files["equity"]).to_pylist()]


def test_on_the_close_an_order_fills_at_the_close_that_decided_it_the_last_day_too(tmp_path: Path) -> None:
    result = run(tmp_path, Fill.CLOSE)
    assert trades(result) == [(20200103, "buy", 11.0), (20200107, "sell", 11.5), (20200109, "buy", 12.0)]
    assert equity(result) == [10_000, 10_000, 10_100, 10_050, 10_050, 10_050, 10_150]


def test_at_the_next_open_an_order_waits_for_the_next_days_open(tmp_path: Path) -> None:
    result = run(tmp_path, Fill.NEXT_OPEN)
    assert trades(result) == [(20200106, "buy", 11.8), (20200108, "sell", 11.4), (20200110, "buy", 12.5)]


def test_equity_is_marked_at_the_close_and_not_at_the_open(tmp_path: Path) -> None:
    assert equity(run(tmp_path, Fill.NEXT_OPEN)) == [10_000, 10_000, 10_020, 9_970, 9_960, 9_960, 10_010]


def test_without_opens_the_next_open_is_the_next_close(tmp_path: Path) -> None:
    result = run(tmp_path, Fill.NEXT_OPEN, opens=None)
    assert trades(result) == [(20200106, "buy", 12.0), (20200108, "sell", 11.5), (20200110, "buy", 13.0)]


def test_what_was_before_the_first_day_of_a_run_fills_its_windows(tmp_path: Path) -> None:
    result = run(tmp_path, Fill.CLOSE, start=20200106)
    assert trades(result)[0] == (20200106, "buy", 12.0)


def test_a_commission_on_the_value_adds_up_exactly(tmp_path: Path) -> None:
    """33 millionths of 1,100, 1,150 and 1,200: none is whole in 1/10,000; the sum, rounded once, is booked."""
    result = run(tmp_path, Fill.CLOSE, Costs(0, 0.0, commission_ppm=33))
    rows = pq.read_table(result.files["trades"]).to_pylist()
    exact = Decimal("0.000033") * (1_100 + 1_150 + 1_200)
    charged = sum(row["fee"] for row in rows)
    assert charged == exact.quantize(Decimal("0.0001"), rounding="ROUND_HALF_UP")
    assert Decimal(result.statistics["final_equity"]) == Decimal(10_150) - charged
    assert result.statistics["fees"] == str(charged)


def test_half_a_spread_is_told_apart_from_fees(tmp_path: Path) -> None:
    result = run(tmp_path, Fill.CLOSE, Costs(fee_per_share=50, half_spread_bps=10.0))
    spread = [0.0110, 0.0115, 0.0120]
    assert [price for _, _, price in trades(result)] == pytest.approx([11.0110, 11.4885, 12.0120])
    assert float(result.statistics["spread"]) == pytest.approx(100 * sum(spread))
    assert float(result.statistics["fees"]) == pytest.approx(100 * 3 * 0.005)


def test_symbols_and_holdings_say_what_became_of_the_trades(tmp_path: Path) -> None:
    result = run(tmp_path, Fill.CLOSE)
    (symbol,) = pq.read_table(result.files["symbols"]).to_pylist()
    assert (symbol["symbol"], symbol["trades"], symbol["position"], symbol["profit"]) == ("AAA", 3, 100, 150)
    (held,) = pq.read_table(result.files["round_trips"]).to_pylist()
    assert (held["pair"], held["stance"], held["entry_date"], held["exit_date"]) == ("AAA", 1, 20200103, 20200107)
    assert (held["days"], held["profit"], held["entry_z"]) == (2, 50, None)
    assert result.statistics["hit_rate"] == 1.0


def test_the_benchmark_is_the_capital_in_the_symbols_held(tmp_path: Path) -> None:
    table = pq.read_table(run(tmp_path, Fill.CLOSE).files["equity"])
    expected = np.array(CLOSES) / CLOSES[0] * 10_000
    assert [float(value) for value in table["benchmark"].to_pylist()] == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("commission", "half_spread", "costs"),
    [
        (None, None, Costs(30, 2.5, 0)),
        (None, 1.0, Costs(30, 1.0, 0)),
        ("0.0005", None, Costs(0, 0.0, 500)),
        ("5bps", None, Costs(0, 0.0, 500)),
        ("0.003/share", None, Costs(30, 0.0, 0)),
        ("0", 2.5, Costs(0, 2.5, 0)),
    ],
)
def test_a_commission_says_its_unit(commission: str | None, half_spread: float | None, costs: Costs) -> None:
    assert costs_of(commission, half_spread) == costs


@pytest.mark.parametrize("commission", ["-1", "five", "0.00003/share", "0.0000005", "NaN", "", "1e400bps"])
def test_a_commission_that_cannot_be_charged_is_refused(commission: str) -> None:
    with pytest.raises(BadInput, match="commission"):
        costs_of(commission, None)
