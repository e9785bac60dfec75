"""The daily SMA case in a peer's own words. Run by ``bench_peers.py`` in the peer's virtual environment.

    PYTHON daily_sma.py PEER PANEL.csv

PEER is vectorbt (fills at the close that decides) or backtrader (fills at the next open; the panel has closes alone, so
a day's open is its close). Long 100 shares while SMA(20) > SMA(50), flat otherwise; 5 bps of the value a trade; capital
100,000,000. Prints one JSON line: version, orders, final equity, SHA-256 of the trades, seconds of the run.
"""

import hashlib
import importlib.metadata
import json
import sys
import time

import pandas as pd

FAST, SLOW, SHARES, COMMISSION, CAPITAL = 20, 50, 100, 0.0005, 1e8
REPEATS = 5


def vectorbt(close):
    import vectorbt as vbt

    started = time.perf_counter()
    fast = vbt.MA.run(close, FAST).ma.to_numpy()
    slow = vbt.MA.run(close, SLOW).ma.to_numpy()
    above = fast > slow
    portfolio = vbt.Portfolio.from_signals(
        close, above, ~above, size=SHARES, fees=COMMISSION, init_cash=CAPITAL, freq="1D", cash_sharing=True,
        group_by=True,
    )  # fmt: skip
    final = float(portfolio.final_value())
    seconds = time.perf_counter() - started
    orders = portfolio.orders.records
    trades = [
        (close.index[day], close.columns[column], "sell" if side else "buy", price, size)
        for day, column, side, price, size in zip(
            orders["idx"], orders["col"], orders["side"], orders["price"], orders["size"], strict=True
        )
    ]
    return trades, final, seconds


def backtrader(close):
    import backtrader as bt

    trades = []

    class Sma(bt.Strategy):
        def __init__(self):
            self.cross = [bt.ind.SMA(d.close, period=FAST) - bt.ind.SMA(d.close, period=SLOW) for d in self.datas]

        def next(self):
            for symbol, cross in zip(self.datas, self.cross, strict=True):
                held = self.getposition(symbol).size
                if cross[0] > 0 and not held:
                    self.buy(data=symbol, size=SHARES)
                elif cross[0] <= 0 and held:
                    self.close(data=symbol)

        def notify_order(self, order):
            if order.status == order.Completed:
                day, side = bt.num2date(order.executed.dt), "buy" if order.isbuy() else "sell"
                trades.append((day, order.data._name, side, order.executed.price, abs(order.executed.size)))

    started = time.perf_counter()
    cerebro = bt.Cerebro(stdstats=False)
    for name in close.columns:
        prices = close[name]
        columns = {"open": prices, "high": prices, "low": prices, "close": prices, "volume": 1e6}
        cerebro.adddata(bt.feeds.PandasData(dataname=pd.DataFrame(columns)), name=name)
    cerebro.addstrategy(Sma)
    cerebro.broker.setcash(CAPITAL)
    cerebro.broker.setcommission(commission=COMMISSION)
    cerebro.run()
    return trades, cerebro.broker.getvalue(), time.perf_counter() - started


def digest(trades):
    lines = sorted(
        f"{day:%Y%m%d},{symbol},{side},{round(size)},{round(price * 10_000)}"
        for day, symbol, side, price, size in trades
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def main():
    peer, panel = sys.argv[1:]
    close = pd.read_csv(panel, index_col="date", parse_dates=True)
    run = {"vectorbt": vectorbt, "backtrader": backtrader}[peer]
    trades, final, first = run(close)
    seconds = [run(close)[2] for _ in range(REPEATS)] if peer == "vectorbt" else [first]
    print(
        json.dumps(
            {
                "peer": peer,
                "version": importlib.metadata.version(peer),
                "orders": len(trades),
                "final_equity": final,
                "trades_sha256": digest(trades),
                "seconds": round(sorted(seconds)[len(seconds) // 2], 4),
            }
        )
    )


if __name__ == "__main__":
    main()
