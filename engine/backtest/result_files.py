"""A backtest's files: equity, trades, round trips and symbols as Parquet; money as decimal(20, 4), dates yyyymmdd."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from engine.backtest.round_trips import RoundTrip
from engine.core.events import EVENT
from engine.messages import side_name
from engine.statistics.trading import Executions, Holding, OfSymbol

MONEY = pa.decimal128(20, 4)


def equity_table(dates: np.ndarray, equity: np.ndarray, benchmark: np.ndarray) -> pa.Table:
    """A row a close; ``benchmark`` in 1/10,000 like the EQUITY records."""
    columns = {name: money_column(equity[name]) for name in ("equity", "unrealised", "realised", "gross")}
    return pa.table({"date": pa.array(dates), **columns, "benchmark": money_column(benchmark)})


def trades_table(symbols: list[str], fills: np.ndarray, dates: np.ndarray, executions: Executions) -> pa.Table:
    return pa.table(
        {
            "ts": pa.array(fills["ts_event"], pa.timestamp("ns", "UTC")),
            "date": pa.array(dates),
            "order_id": pa.array(fills["order_id"]),
            "symbol": [symbols[instrument] for instrument in fills["instrument"]],
            "side": [side_name(side) for side in fills["side"]],
            "price": money_column(fills["price"]),
            "qty": pa.array(fills["qty"]),
            "notional": money_column(executions.notional),
            "fee": money_column(executions.fees),
            "spread": money_column(executions.spread),
        }
    )


def round_trips_table(trips: Sequence[RoundTrip]) -> pa.Table:
    """``pair`` is "A/B", or a symbol by itself, whose z-scores are null."""
    return pa.table(
        {
            "pair": pa.array([trip.pair for trip in trips], pa.string()),
            "stance": pa.array([trip.stance for trip in trips], pa.int64()),
            "entry_date": pa.array([trip.entry_date for trip in trips], pa.int64()),
            "exit_date": pa.array([trip.exit_date for trip in trips], pa.int64()),
            "days": pa.array([trip.days for trip in trips], pa.int64()),
            "entry_z": pa.array([trip.entry_z for trip in trips], pa.float64()),
            "exit_z": pa.array([trip.exit_z for trip in trips], pa.float64()),
            "profit": money_column(np.array([trip.profit for trip in trips], np.int64)),
        }
    )


def holdings_table(symbols: list[str], dates: np.ndarray, holdings: Sequence[Holding]) -> pa.Table:
    """Flat to flat of single symbols, in the form of round trips; ``dates`` are all trading days of the run."""
    none = [None] * len(holdings)
    return pa.table(
        {
            "pair": pa.array([symbols[held.instrument] for held in holdings], pa.string()),
            "stance": pa.array([held.side for held in holdings], pa.int64()),
            "entry_date": pa.array([int(dates[held.entered]) for held in holdings], pa.int64()),
            "exit_date": pa.array([int(dates[held.left]) for held in holdings], pa.int64()),
            "days": pa.array([held.left - held.entered for held in holdings], pa.int64()),
            "entry_z": pa.array(none, pa.float64()),
            "exit_z": pa.array(none, pa.float64()),
            "profit": money_column(np.array([held.profit for held in holdings], np.int64)),
        }
    )


def symbols_table(symbols: list[str], found: Sequence[OfSymbol]) -> pa.Table:
    """A row a traded symbol; ``profit`` after all costs, what is held at its last close."""
    money = {
        name: money_column(np.array([getattr(one, name) for one in found], np.int64))
        for name in ("notional", "fees", "spread", "profit")
    }
    return pa.table(
        {
            "symbol": pa.array([symbols[one.instrument] for one in found], pa.string()),
            "trades": pa.array([one.trades for one in found], pa.int64()),
            "position": pa.array([one.position for one in found], pa.int64()),
            **money,
        }
    )


def money_column(amounts: np.ndarray) -> pa.Array:
    """int64 in 1/10,000 as decimals: Arrow holds a decimal as its unscaled value, 128 bits, low half first."""
    halves = np.empty((len(amounts), 2), "<i8")
    halves[:, 0], halves[:, 1] = amounts, amounts >> 63
    return pa.Array.from_buffers(MONEY, len(amounts), [None, pa.py_buffer(halves)])


def money(amount: int) -> str:
    return str(Decimal(amount).scaleb(-4))


def joined(pieces: list[np.ndarray]) -> np.ndarray:
    """One EVENT array; joined as raw bytes, for numpy would repack the overlapping payload."""
    raw = np.concatenate(pieces) if pieces else np.zeros(0, "V64")
    return raw.view(EVENT)


def dates_of(ts: np.ndarray) -> np.ndarray:
    """The trading dates (int64 yyyymmdd) of times within New York's session, whose date in UTC is the same."""
    days = ts.astype("datetime64[ns]").astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    year, month = np.divmod(months.astype(np.int64), 12)
    day = (days - months).astype(np.int64)
    return (year + 1970) * 10_000 + (month + 1) * 100 + day + 1
