"""What a backtest's step emitted, gathered into trades, equity and round trips, and written as files."""

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from engine.backtest.costs import Costs
from engine.backtest.days import Fill
from engine.backtest.result_files import (
    dates_of,
    equity_table,
    holdings_table,
    joined,
    money,
    round_trips_table,
    symbols_table,
    trades_table,
)
from engine.backtest.round_trips import RoundTrips
from engine.content import canonical_json
from engine.core.events import PRICE_SCALE, Kind
from engine.core.limit_names import Level, Limit
from engine.statistics.benchmark import equal_weights, relative_statistics
from engine.statistics.curve import equity_statistics, returns_of, with_capital
from engine.statistics.trading import Executions, by_symbol, exposure, hit_rate, holdings, turnover


@dataclass(frozen=True)
class Written:
    sha256: str
    statistics: dict[str, Any]
    files: dict[str, Path]


class Ledger:
    """Takes formations and output records in their order; money and prices in 1/10,000.

    ``dates`` int64 yyyymmdd [days] and ``closes`` int64 [days, symbols] are those of the whole run, ``paid`` (of the
    same shape) is what an order of a day is filled at before half a spread; 0 where there is none.
    """

    def __init__(
        self, symbols: list[str], capital: int, costs: Costs, fill: Fill, dates: np.ndarray, closes: np.ndarray,
        paid: np.ndarray,
    ) -> None:  # fmt: skip
        self._symbols, self._capital, self._costs, self._fill = symbols, capital, costs, fill
        self._dates, self._closes, self._paid = dates, closes, paid
        self._pairs: list[str] = []
        self._trips = RoundTrips()
        self._legs: dict[str, dict[str, int]] = {}
        self._date = 0
        self._fills: list[np.ndarray] = []
        self._equity: list[np.ndarray] = []
        self._rejects: Counter[str] = Counter()
        self._anomalies = 0

    def on_formation(self, pairs: list[str], date: int) -> None:
        """``pairs`` are the names behind SIGNAL's and LEG's ``pair`` from ``date`` (yyyymmdd) on."""
        self._pairs = pairs
        self._trips.on_formation(pairs, date)

    def on_records(self, records: np.ndarray) -> None:
        """EVENT records of the kinds that the runner keeps."""
        self._fills.append(records[records["kind"] == Kind.FILL].view("V64"))
        self._equity.append(records[records["kind"] == Kind.EQUITY].view("V64"))
        self._anomalies += int((records["kind"] == Kind.ANOMALY).sum())
        for record in records[records["kind"] == Kind.LIMIT_REJECT]:
            self._rejects[f"{Limit(record['code']).name.lower()} at {Level(record['level']).name.lower()}"] += 1
        followed = records[np.isin(records["kind"], (Kind.LEG, Kind.SIGNAL, Kind.EQUITY))]
        columns = [followed[name].tolist() for name in ("kind", "instrument", "side", "pair", "target")]
        dates = dates_of(followed["ts_event"]).tolist()
        for date, kind, instrument, side, pair, target in zip(dates, *columns, strict=True):
            if date != self._date:
                self._on_date(date)
            if kind == Kind.LEG:
                self._legs.setdefault(self._pairs[pair], {})[self._symbols[instrument]] = target
            elif kind == Kind.SIGNAL:  # its z_micro stands where a LEG's target does
                name = self._pairs[pair]
                self._trips.on_stance(name, side, target / 1e6, date, self._legs.pop(name, {}))

    def _on_date(self, date: int) -> None:
        """What the close before decided is priced: at this day's prices, or at that close where orders fill on it."""
        self._price_trips(self._date if self._fill is Fill.CLOSE else date)
        self._date = date

    def _price_trips(self, date: int) -> None:
        if date and self._trips.unpriced:
            prices = self._paid[np.searchsorted(self._dates, date)]
            self._trips.on_session(dict(zip(self._symbols, prices.tolist(), strict=True)))

    def write(self, folder: Path, described: dict[str, Any]) -> Written:
        """Writes the files, result.json last; equal runs write equal bytes of it."""
        if self._fill is Fill.CLOSE:
            self._price_trips(self._date)
        fills, equity = joined(self._fills), _last_of_each_day(joined(self._equity))
        executions = self._executions(fills)
        benchmark = np.rint(self._capital * equal_weights(self._closes)).astype(np.int64)
        tables = {
            "equity": equity_table(self._dates, equity, benchmark),
            "trades": trades_table(self._symbols, fills, self._dates[executions.days], executions),
            "round_trips": round_trips_table(self._trips.finished),
            "symbols": symbols_table(self._symbols, by_symbol(executions, _last_prices(self._closes))),
        }
        if not self._pairs:
            tables["round_trips"] = holdings_table(self._symbols, self._dates, holdings(executions))
        statistics = self._statistics(executions, equity, benchmark, tables["round_trips"])
        result = {
            **described,
            "statistics": statistics,
            "equity_sha256": sha256(equity.tobytes()).hexdigest(),
            "trades_sha256": sha256(fills.tobytes()).hexdigest(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        files = {name: folder / f"{name}.parquet" for name in tables}
        for name, table in tables.items():
            pq.write_table(table, files[name])
        files["result"] = folder / "result.json"
        files["result"].write_bytes(canonical_json(result))
        return Written(sha256(files["result"].read_bytes()).hexdigest(), statistics, files)

    def _executions(self, fills: np.ndarray) -> Executions:
        days = np.searchsorted(self._dates, dates_of(fills["ts_event"]))
        instruments, prices = fills["instrument"].astype(np.int64), fills["price"].astype(np.int64)
        shares = fills["qty"].astype(np.int64)
        return Executions(
            instruments=instruments,
            sides=fills["side"].astype(np.int64),
            prices=prices,
            shares=shares,
            fees=self._costs.fees(instruments, prices, shares),
            mids=self._paid[days, instruments],
            days=days,
        )

    def _statistics(
        self, executions: Executions, equity: np.ndarray, benchmark: np.ndarray, round_trips: Any
    ) -> dict[str, Any]:
        curve, capital = equity["equity"] / PRICE_SCALE, self._capital / PRICE_SCALE
        profits = np.array([float(profit) for profit in round_trips["profit"].to_pylist()])
        held_days = round_trips["days"].to_numpy()
        returns = returns_of(with_capital(capital, curve))
        of_benchmark = returns_of(with_capital(capital, benchmark / PRICE_SCALE))
        return {
            "final_equity": money(int(equity["equity"][-1])),
            **equity_statistics(curve, capital),
            **exposure(equity["gross"] / PRICE_SCALE, curve),
            "days": len(equity),
            "trades": len(executions.prices),
            "round_trips": len(profits),
            "hit_rate": hit_rate(profits),
            "holding_days": float(held_days.mean()) if len(held_days) else None,
            "fees": money(int(executions.fees.sum())),
            "spread": money(int(executions.spread.sum())),
            "turnover": turnover(int(executions.notional.sum()) / PRICE_SCALE, curve),
            "relative": relative_statistics(returns, of_benchmark),
            "rejects": dict(sorted(self._rejects.items())),
            "anomalies": self._anomalies,
        }


def _last_of_each_day(equity: np.ndarray) -> np.ndarray:
    """The last EQUITY record of each date: at the close, or after what was filled on it."""
    days = equity["ts_event"] // 86_400_000_000_000  # a session in New York does not cross midnight UTC
    return equity[np.append(days[1:] != days[:-1], True)]


def _last_prices(closes: np.ndarray) -> np.ndarray:
    """Each symbol's newest close, int64 [symbols]; 0 where it never had one."""
    newest = len(closes) - 1 - (closes[::-1] > 0).argmax(axis=0)
    return closes[newest, np.arange(closes.shape[1])]
