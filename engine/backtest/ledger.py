"""What a backtest's step emitted, gathered into trades, equity and round trips, and written as files."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.backtest.round_trips import RoundTrip, RoundTrips
from engine.backtest.statistics import DAYS_A_YEAR, equity_statistics
from engine.content import canonical_json
from engine.core.events import EVENT, PRICE_SCALE, Kind
from engine.core.limit_names import Level, Limit
from engine.messages import side_name

MONEY = pa.decimal128(20, 4)


@dataclass(frozen=True)
class Written:
    sha256: str
    statistics: dict[str, Any]
    files: dict[str, Path]


class Ledger:
    """Takes formations, fill prices and output records in their order; money and prices in 1/10,000."""

    def __init__(self, symbols: list[str], capital: int, fee_per_share: int) -> None:
        self._symbols = symbols
        self._capital = capital
        self._fee_per_share = fee_per_share
        self._pairs: list[str] = []
        self._prices: dict[int, np.ndarray] = {}
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

    def on_prices(self, dates: np.ndarray, prices: np.ndarray) -> None:
        """What an order fills at before costs: int64 [days, symbols], 0 = none."""
        self._prices = dict(zip(dates.tolist(), prices, strict=True))

    def on_records(self, records: np.ndarray) -> None:
        """EVENT records of the kinds that the runner keeps."""
        self._fills.append(records[records["kind"] == Kind.FILL].view("V64"))
        self._equity.append(records[records["kind"] == Kind.EQUITY].view("V64"))
        self._anomalies += int((records["kind"] == Kind.ANOMALY).sum())
        for record in records[records["kind"] == Kind.LIMIT_REJECT]:
            self._rejects[f"{Limit(record['code']).name.lower()} at {Level(record['level']).name.lower()}"] += 1
        followed = records[np.isin(records["kind"], (Kind.LEG, Kind.SIGNAL, Kind.EQUITY))]
        columns = [followed[name].tolist() for name in ("kind", "instrument", "side", "pair", "target")]
        for date, kind, instrument, side, pair, target in zip(_dates(followed["ts_event"]), *columns, strict=True):
            if date != self._date:
                self._date = date
                self._trips.on_session(dict(zip(self._symbols, self._prices[date].tolist(), strict=True)))
            if kind == Kind.LEG:
                self._legs.setdefault(self._pairs[pair], {})[self._symbols[instrument]] = target
            elif kind == Kind.SIGNAL:  # its z_micro stands where a LEG's target does
                name = self._pairs[pair]
                self._trips.on_stance(name, side, target / 1e6, date, self._legs.pop(name, {}))

    def write(self, folder: Path, described: dict[str, Any]) -> Written:
        """Writes the files, result.json last; equal runs write equal bytes of it."""
        fills, equity = _joined(self._fills), _joined(self._equity)
        statistics = self._statistics(fills, equity)
        result = {
            **described,
            "statistics": statistics,
            "equity_sha256": sha256(equity.tobytes()).hexdigest(),
            "trades_sha256": sha256(fills.tobytes()).hexdigest(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        files = {name: folder / f"{name}.parquet" for name in ("equity", "trades", "round_trips")}
        pq.write_table(_equity_table(equity), files["equity"])
        pq.write_table(self._trades_table(fills), files["trades"])
        pq.write_table(_round_trips_table(self._trips.finished), files["round_trips"])
        files["result"] = folder / "result.json"
        files["result"].write_bytes(canonical_json(result))
        return Written(sha256(files["result"].read_bytes()).hexdigest(), statistics, files)

    def _statistics(self, fills: np.ndarray, equity: np.ndarray) -> dict[str, Any]:
        notional = int((fills["price"] * fills["qty"]).sum())
        profits = [trip.profit for trip in self._trips.finished]
        curve = equity["equity"] / PRICE_SCALE
        years = len(equity) / DAYS_A_YEAR
        return {
            "final_equity": _money(int(equity["equity"][-1])),
            **equity_statistics(curve, self._capital / PRICE_SCALE),
            "days": len(equity),
            "trades": len(fills),
            "round_trips": len(profits),
            "hit_rate": sum(profit > 0 for profit in profits) / len(profits) if profits else None,
            "fees": _money(int(fills["qty"].sum()) * self._fee_per_share),
            "turnover": notional / PRICE_SCALE / float(curve.mean()) / years,
            "rejects": dict(sorted(self._rejects.items())),
            "anomalies": self._anomalies,
        }

    def _trades_table(self, fills: np.ndarray) -> pa.Table:
        return pa.table(
            {
                "ts": pa.array(fills["ts_event"], pa.timestamp("ns", "UTC")),
                "date": _dates(fills["ts_event"]),
                "order_id": pa.array(fills["order_id"]),
                "symbol": [self._symbols[instrument] for instrument in fills["instrument"]],
                "side": [side_name(side) for side in fills["side"]],
                "price": _money_column(fills["price"]),
                "qty": pa.array(fills["qty"]),
                "notional": _money_column(fills["price"] * fills["qty"]),
                "fee": _money_column(fills["qty"] * self._fee_per_share),
            }
        )


def _equity_table(equity: np.ndarray) -> pa.Table:
    columns = {name: _money_column(equity[name]) for name in ("equity", "unrealised", "realised", "gross")}
    return pa.table({"date": _dates(equity["ts_event"]), **columns})


def _round_trips_table(trips: list[RoundTrip]) -> pa.Table:
    return pa.table(
        {
            "pair": pa.array([trip.pair for trip in trips], pa.string()),
            "stance": pa.array([trip.stance for trip in trips], pa.int64()),
            "entry_date": pa.array([trip.entry_date for trip in trips], pa.int64()),
            "exit_date": pa.array([trip.exit_date for trip in trips], pa.int64()),
            "days": pa.array([trip.days for trip in trips], pa.int64()),
            "entry_z": pa.array([trip.entry_z for trip in trips], pa.float64()),
            "exit_z": pa.array([trip.exit_z for trip in trips], pa.float64()),
            "profit": _money_column(np.array([trip.profit for trip in trips], np.int64)),
        }
    )


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    """One EVENT array; joined as raw bytes, for numpy would repack the overlapping payload."""
    raw = np.concatenate(pieces) if pieces else np.zeros(0, "V64")
    return raw.view(EVENT)


def _dates(ts: np.ndarray) -> list[int]:
    """The trading dates (yyyymmdd) of times within New York's session, whose date in UTC is the same."""
    days = np.datetime_as_string(ts.astype("datetime64[ns]"), unit="D")
    return [int(day.replace("-", "")) for day in days]


def _money(amount: int) -> str:
    return str(Decimal(amount).scaleb(-4))


def _money_column(amounts: np.ndarray) -> pa.Array:
    return pa.array([Decimal(amount).scaleb(-4) for amount in amounts.tolist()], MONEY)
