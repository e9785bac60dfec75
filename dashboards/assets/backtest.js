// The backtest page's tables, drawn from Dash stores by clientside callbacks.
(function () {
  "use strict";
  const F = window.heliographFormats;
  const X = window.heliographCells;
  const FULL_MONTH = 0.05; // a month of 5 % has the deepest shade
  const FULL_YEAR = 0.2;
  const DEEPEST = 60; // percent of the colour

  function fill(body, rows) {
    document.getElementById(body).replaceChildren(...rows.map(X.row));
  }

  // A return on a shade of gain or loss; the figure carries its sign as well.
  function heat(value, deepest) {
    if (value === null) return X.cell("", "right");
    const td = X.cell(F.percent_signed(value).replace("%", ""), "right heat--" + (value >= 0 ? "gain" : "loss"), value);
    td.style.setProperty("--heat", Math.round(Math.min(1, Math.abs(value) / deepest) * DEEPEST) + "%");
    return td;
  }

  const year = (row) => [
    X.cell(String(row[0])),
    ...row.slice(1, 13).map((value) => heat(value, FULL_MONTH)),
    heat(row[13], FULL_YEAR),
  ];

  const roundTrip = ([pair, stance, entered, left, days, entry, exit, profit]) => [
    X.cell(pair),
    X.stance(stance),
    X.day(entered),
    X.day(left),
    X.figure(days, "quantity"),
    X.figure(entry, "number"),
    X.figure(exit, "number"),
    X.signed(profit, "money_signed"),
  ];

  const trade = ([date, symbol, side, qty, price, notional, fee, order]) => [
    X.day(date),
    X.cell(symbol),
    X.side(side),
    X.figure(qty, "quantity"),
    X.figure(price, "price"),
    X.figure(notional, "money"),
    X.figure(fee, "money"),
    X.cell(String(order), "right muted-figure", order),
  ];

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    heliograph: {
      monthly: (store) => fill("monthly-body", store.rows.map(year)),
      round_trips: (store) => fill("round-trips-body", store.rows.map(roundTrip)),
      trades(store) {
        fill("trades-body", store.rows.map(trade));
        document.getElementById("trades-note").textContent = store.note;
      },
    },
  });
})();
