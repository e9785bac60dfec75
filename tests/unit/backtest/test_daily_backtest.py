"""The daily backtest: its accounting, its timing, its refusals, and that it repeats itself byte for byte."""

import json
import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.backtest import BacktestCancelled, Costs, run_backtest
from engine.content import content_hash
from engine.errors import BadInput
from engine.history import BARS, open_history
from engine.messages import DataContract, LimitEnvelope, Manifest

ROOT = Path(__file__).resolve().parents[3]
WIDE = LimitEnvelope(10**9, 10**15, 10**9, 10**15)
PARAMETERS = {"formation_days": 252, "lookback": 20, "entry": 1.5, "max_pairs": 3, "leg_notional": 10_000}


def trading_days(first: date, count: int) -> list[int]:
    days = (first + timedelta(n) for n in range(count * 2))
    return [int(day.strftime("%Y%m%d")) for day in days if day.weekday() < 5][:count]


def panel(seed: int = 7, days: int = 900) -> tuple[list[int], dict[str, np.ndarray]]:
    """Two cointegrated symbols (AR(1) spread, half-life about 7 days) and two random walks, in dollars."""
    random = np.random.default_rng(seed)
    common = np.cumsum(random.normal(0, 0.01, days))
    spread = np.zeros(days)
    for day in range(1, days):
        spread[day] = 0.9 * spread[day - 1] + random.normal(0, 0.01)
    walks = np.cumsum(random.normal(0, 0.01, (days, 2)), axis=0)
    logs = {"AAA": 4 + common + spread, "BBB": 3.5 + common, "CCC": 4 + walks[:, 0], "DDD": 3 + walks[:, 1]}
    return trading_days(date(2015, 1, 1), days), {symbol: np.round(np.exp(log), 4) for symbol, log in logs.items()}


def store(root: Path, dates: list[int], prices: dict[str, np.ndarray], opens: dict[str, np.ndarray] | None = None):
    rows = []
    for symbol, column in prices.items():
        for position, (day, price) in enumerate(zip(dates, column, strict=True)):
            opened = None if opens is None else round(opens[symbol][position] * 10_000)
            rows.append((day, symbol, opened, None, None, round(price * 10_000), None))
    columns = list(zip(*rows, strict=True))
    history = open_history(root)
    history.append_bars("panel", pa.table([pa.array(c, f.type) for c, f in zip(columns, BARS, strict=True)], BARS))
    return history


def manifest(history, envelope=WIDE, **changes) -> Manifest:
    parameters = {**PARAMETERS, **changes}
    data = DataContract("panel", history.data_hash("panel"))
    digest = content_hash("pairs", parameters, envelope, data)
    return Manifest("", "", "pairs", digest, parameters, envelope, data, "sim", 1_000_000_0000)


@pytest.fixture(scope="module")
def history_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("history")
    store(root, *panel())
    return root


@pytest.fixture(scope="module")
def result(history_root, tmp_path_factory):
    return run_backtest(manifest(open_history(history_root)), history_root, tmp_path_factory.mktemp("result"))


def rows(result, name):
    return pq.read_table(result.files[name]).to_pylist()


def test_the_planted_pair_is_found_and_traded(result):
    trips = rows(result, "round_trips")
    assert {trip["pair"] for trip in trips} >= {"AAA/BBB"}
    assert result.statistics["trades"] > 20
    assert result.statistics["anomalies"] == 0


def test_final_equity_is_capital_plus_every_cash_flow_plus_what_is_still_held(result, history_root):
    """Counted again from the trades alone, in Decimal."""
    cash, held = Decimal(1_000_000), {}
    for trade in rows(result, "trades"):
        sign = 1 if trade["side"] == "buy" else -1
        cash -= sign * trade["notional"] + trade["fee"]
        held[trade["symbol"]] = held.get(trade["symbol"], 0) + sign * trade["qty"]
    _, symbols, closes = open_history(history_root).closes("panel")
    ask_bid_mid = {symbol: Decimal(int(price)) / 10_000 for symbol, price in zip(symbols, closes[-1], strict=True)}
    expected = cash + sum(qty * ask_bid_mid[symbol] for symbol, qty in held.items())
    assert Decimal(result.statistics["final_equity"]) == expected
    assert rows(result, "equity")[-1]["equity"] == expected


def test_every_order_fills_on_the_session_after_the_close_that_decided_it(result, history_root):
    dates = open_history(history_root).closes("panel").dates.tolist()
    traded = {trade["date"] for trade in rows(result, "trades")}
    decided = {day for trip in rows(result, "round_trips") for day in (trip["entry_date"],)}
    assert decided
    assert {dates[dates.index(day) + 1] for day in decided} <= traded


def test_the_statistics_are_those_of_the_equity_curve(result):
    curve = np.array([float(row["equity"]) for row in rows(result, "equity")])
    returns = np.diff(np.concatenate([[1_000_000.0], curve])) / np.concatenate([[1_000_000.0], curve[:-1]])
    assert result.statistics["sharpe"] == pytest.approx(np.sqrt(252) * returns.mean() / returns.std(ddof=1))
    peak, worst = 1_000_000.0, 0.0
    for value in curve:
        peak = max(peak, value)
        worst = min(worst, value / peak - 1)
    assert result.statistics["max_drawdown"] == pytest.approx(worst)


def test_what_comes_later_changes_nothing_that_came_before(tmp_path):
    """Look-ahead: all prices after a day are replaced by others; trades up to that day stay as they were."""
    dates, prices = panel()
    cut = 700
    other = {symbol: np.concatenate([p[:cut], p[cut:][::-1] * 1.3]) for symbol, p in prices.items()}
    before = []
    for name, chosen in (("a", prices), ("b", other)):
        history = store(tmp_path / name, dates, chosen)
        run = run_backtest(manifest(history), tmp_path / name, tmp_path / f"out-{name}")
        before.append([trade for trade in rows(run, "trades") if trade["date"] < dates[cut]])
    assert before[0] == before[1]
    assert len(before[0]) > 10


def test_with_opens_orders_fill_at_the_open_and_half_a_spread(tmp_path):
    dates, prices = panel()
    opens = {symbol: np.round(price * 1.001, 4) for symbol, price in prices.items()}
    history = store(tmp_path, dates, prices, opens)
    result = run_backtest(manifest(history), tmp_path, tmp_path / "out", costs=Costs(0, 10.0))
    for trade in rows(result, "trades")[:20]:
        opened = round(opens[trade["symbol"]][dates.index(trade["date"])] * 10_000)
        half_spread = -(-opened * 10 // 10_000)
        paid = opened + half_spread if trade["side"] == "buy" else opened - half_spread
        assert int(trade["price"] * 10_000) == paid


def test_a_limit_of_the_envelope_refuses_and_is_counted(history_root, tmp_path):
    tight = LimitEnvelope(10, 10**15, 10**9, 10**15)
    result = run_backtest(manifest(open_history(history_root), tight), history_root, tmp_path)
    assert all(trade["qty"] <= 10 for trade in rows(result, "trades"))
    assert result.statistics["rejects"]["order_qty at firm"] > 0


def test_data_that_are_not_those_submitted_are_refused(history_root, tmp_path):
    wrong = manifest(open_history(history_root))
    wrong = Manifest(
        *(getattr(wrong, f) if f != "data" else DataContract("panel", "0" * 64) for f in wrong.__struct_fields__)
    )
    with pytest.raises(BadInput, match="data_hash"):
        run_backtest(wrong, history_root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cancelling_leaves_no_files(history_root, tmp_path):
    with pytest.raises(BacktestCancelled):
        run_backtest(manifest(open_history(history_root)), history_root, tmp_path / "out", cancelled=lambda: True)
    assert not (tmp_path / "out").exists()


def test_a_cancel_is_heard_within_a_formation(history_root, tmp_path):
    """One formation of 500 symbols takes minutes: between formations would be too late."""
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) > 2  # before the first formation, before its first test, before its second one

    notes = []
    with pytest.raises(BacktestCancelled):
        run_backtest(
            manifest(open_history(history_root)),
            history_root,
            tmp_path / "out",
            cache=tmp_path / "empty",
            progress=lambda fraction, note: notes.append(note),
            cancelled=cancelled,
        )
    assert len(notes) == 1
    assert not (tmp_path / "out").exists()


def test_two_fresh_processes_without_caches_write_equal_bytes(history_root, tmp_path):
    (tmp_path / "params.json").write_text(json.dumps(PARAMETERS))
    printed = []
    for name in ("one", "two"):
        command = [sys.executable, "-m", "engine", "backtest", "--strategy", "pairs", "--json"]
        command += ["--params", str(tmp_path / "params.json"), "--data", f"history:{history_root}:panel"]
        command += ["--out", str(tmp_path / name), "--cache", str(tmp_path / f"cache-{name}")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        printed.append(json.loads(done.stdout.splitlines()[-1]))
    assert printed[0]["result_sha256"] == printed[1]["result_sha256"]
    for file in ("result.json", "equity.parquet", "trades.parquet", "round_trips.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
