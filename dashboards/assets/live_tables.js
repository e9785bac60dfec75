// The live page's tables: rows keyed, figures by the shared formats, new rows flash once.
(function () {
  "use strict";
  const F = window.heliographFormats;
  const X = window.heliographCells;
  const KEPT_ROWS = 200;
  // Rows keyed by `keyOf`; `build` makes the cells. Newest on top where `newestFirst`.
  class LiveTable {
    constructor(body, keyOf, build, newestFirst) {
      Object.assign(this, { body, keyOf, build, newestFirst, rows: new Map() });
    }

    clear() {
      this.rows.clear();
      this.body.replaceChildren();
    }

    put(entries, flash) {
      for (const entry of entries) this.putOne(entry, flash);
      while (this.newestFirst && this.rows.size > KEPT_ROWS) {
        const [key, row] = this.rows.entries().next().value;
        this.rows.delete(key);
        row.remove();
      }
    }

    putOne(entry, flash) {
      const key = this.keyOf(entry);
      const known = this.rows.get(key);
      const row = known || document.createElement("tr");
      row.replaceChildren(...this.build(entry));
      row.classList.toggle("is-busted", Boolean(entry.busted));
      if (known) return;
      this.rows.set(key, row);
      if (flash) {
        row.classList.add("is-new");
        row.addEventListener("animationend", () => row.classList.remove("is-new"), { once: true });
      }
      if (this.newestFirst) this.body.prepend(row);
      else this.insertSorted(row, key);
    }

    insertSorted(row, key) {
      row.dataset.key = key;
      const after = [...this.body.children].find((other) => other.dataset.key > key);
      this.body.insertBefore(row, after || null);
    }

    keep(keys) {
      for (const [key, row] of this.rows) {
        if (keys.has(key)) continue;
        this.rows.delete(key);
        row.remove();
      }
    }
  }

  const executionKey = (fill) => new Date(fill.ts).toISOString().slice(0, 10) + "/" + fill.execution_id + "/" + fill.side;

  const fillCells = (fill) => [
    X.stamp(fill.ts),
    X.cell(fill.symbol),
    X.side(fill.side),
    X.figure(fill.qty, "quantity"),
    X.figure(fill.price, "price"),
    X.figure(fill.qty * Number(fill.price), "money"),
    fill.busted ? X.cell(X.status("busted")) : X.cell(""),
    X.cell(String(fill.order_id), "right muted-figure", fill.order_id),
    X.cell(String(fill.execution_id), "right muted-figure", fill.execution_id),
  ];

  const positionCells = (position) => [
    X.cell(position.symbol),
    X.signed(position.qty, "quantity"),
    X.cell(position.qty ? F.price(position.average_cost) : F.UNKNOWN, "right", position.average_cost),
    X.figure(position.qty * Number(position.average_cost), "money"),
    X.signed(position.realised, "money_signed"),
    X.figure(position.fees, "money"),
  ];

  const orderCells = (order) => [
    X.stamp(order.ts),
    X.cell(String(order.order_id), "right", order.order_id),
    X.cell(order.symbol),
    X.side(order.side),
    X.cell(X.status(order.state)),
    X.figure(order.filled, "quantity"),
    X.figure(order.qty, "quantity"),
    X.figure(order.price, "price"),
    X.cell(order.reason || "", "muted"),
  ];

  // Done as a bar on the scale of the whole, with a mark where the plan would be.
  function progress(one) {
    const node = X.span("", "gauge");
    const share = (shares) => (one.qty ? Math.min(100, (100 * shares) / one.qty) : 0);
    const bar = X.span("", "gauge-bar" + (one.done < one.due ? " is-beyond" : ""));
    bar.style.left = "0";
    bar.style.width = share(one.done) + "%";
    const mark = X.span("", "gauge-mark");
    mark.style.left = share(one.planned) + "%";
    node.append(mark, bar);
    return node;
  }

  const scheduleCells = (one) => [
    X.cell(one.symbol),
    X.side(one.side),
    X.figure(one.done, "quantity"),
    X.cell(progress(one), "gauge-cell"),
    X.figure(one.planned, "quantity"),
    X.figure(one.due, "quantity"),
    X.figure(one.qty, "quantity"),
    X.cell(String(one.parent_id), "right muted-figure", one.parent_id),
    X.stamp(one.ts),
  ];

  // A bar from zero to z on the scale of the stop levels, with a mark at each entry level.
  function gauge(z, entry, stop) {
    const node = X.span("", "gauge");
    const place = (value) => 50 + (50 * Math.max(-stop, Math.min(stop, value))) / stop;
    for (const mark of [-entry, entry]) {
      const tick = X.span("", "gauge-mark");
      tick.style.left = place(mark) + "%";
      node.append(tick);
    }
    if (z !== null) {
      const bar = X.span("", "gauge-bar" + (Math.abs(z) >= entry ? " is-beyond" : ""));
      bar.style.left = Math.min(50, place(z)) + "%";
      bar.style.width = Math.abs(place(z) - 50) + "%";
      node.append(bar);
    }
    return node;
  }

  function signalCells(entry, stop) {
    return (signal) => {
      const z = X.figure(signal.z, "number");
      if (signal.z === null) z.title = "Not defined yet: the lookback is not full.";
      return [
        X.cell(signal.pair),
        z,
        X.cell(gauge(signal.z, entry, stop), "gauge-cell"),
        X.figure(signal.spread, "number", 4),
        X.figure(signal.hedge_ratio, "number", 3),
        X.stance(signal.stance),
      ];
    };
  }

  window.heliographLiveTables = {
    LiveTable,
    fillCells,
    positionCells,
    orderCells,
    signalCells,
    scheduleCells,
    fillKey: (fill) => executionKey(fill) + "/" + (fill.revision || 1),
    executionKey,
  };
})();
