"""The files of a backtest's result, as the pages read them: three days over two months, two trades, one round trip."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.statistics.benchmark import relative_statistics
from engine.statistics.curve import equity_statistics, returns_of, with_capital

MONEY = pa.decimal128(20, 4)
CAPITAL = 1_000_000
EQUITY = ("1000000", "1010000", "999900")
BENCHMARK = ("1000000", "1020000", "1030200")


def money(*amounts: str) -> pa.Array:
    return pa.array([Decimal(amount) for amount in amounts], MONEY)


def statistics_of(equity: tuple[str, ...] = EQUITY, benchmark: tuple[str, ...] = BENCHMARK) -> dict[str, Any]:
    curve, other = (np.array([float(value) for value in values]) for values in (equity, benchmark))
    returns = [returns_of(with_capital(CAPITAL, values)) for values in (curve, other)]
    return {
        "final_equity": f"{equity[-1]}.0000",
        **equity_statistics(curve, CAPITAL),
        "exposure": 1.0,
        "time_in_market": 1.0,
        "days": len(equity),
        "trades": 2,
        "round_trips": 1,
        "hit_rate": 1.0,
        "holding_days": 19.0,
        "fees": "0.4500",
        "spread": "1.2000",
        "turnover": 0.6,
        "relative": relative_statistics(*returns),
        "rejects": {},
        "anomalies": 0,
    }


def write_result(folder: Path) -> dict[str, Any]:
    """Writes the files into ``folder``, which is made; returns the statistics."""
    folder.mkdir(parents=True, exist_ok=True)
    equity = money(*EQUITY)
    columns = {
        "date": [20130102, 20130131, 20130201],
        "equity": equity,
        "gross": equity,
        "benchmark": money(*BENCHMARK),
    }
    trades = {
        "date": [20130103, 20130104],
        "symbol": ["KO", "PEP"],
        "side": ["buy", "sell"],
        "qty": [100, 50],
        "price": money("37.12", "68.5"),
        "notional": money("3712", "3425"),
        "fee": money("0.3", "0.15"),
        "spread": money("0.8", "0.4"),
        "order_id": [1, 2],
    }
    trip = {"pair": ["KO/PEP"], "stance": [1], "entry_date": [20130103], "exit_date": [20130131], "days": [19]}
    trip |= {"entry_z": [-2.0], "exit_z": [0.1], "profit": money("1234.5")}
    symbols = {
        "symbol": ["KO", "PEP"],
        "trades": [1, 1],
        "position": [100, -50],
        "notional": money("3712", "3425"),
        "fees": money("0.3", "0.15"),
        "spread": money("0.8", "0.4"),
        "profit": money("-500.25", "400.15"),
    }
    for name, table in {"equity": columns, "trades": trades, "round_trips": trip, "symbols": symbols}.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    statistics = statistics_of()
    described = {
        "manifest": {
            "capital": CAPITAL * 10_000,
            "data": {"dataset": "unit_panel"},
            "content_hash": "c" * 64,
            "parameters": {"lookback": 30, "symbols": []},
        },
        "costs": {"fee_per_share": 30, "half_spread_bps": 2.5, "commission_ppm": 0},
        "fill": "next open",
        "engine_build": "e" * 64,
        "statistics": statistics,
    }
    (folder / "result.json").write_text(json.dumps(described))
    return statistics
