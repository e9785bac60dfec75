// The live page's tables: rows keyed, figures by the shared formats, new rows flash once.
(function () {
  "use strict";
  const F = window.heliographFormats;
  const KEPT_ROWS = 200;
  const SIDE = { buy: "Buy", sell: "Sell" };
  const words = () => JSON.parse(document.getElementById("status-words").textContent);
  let statusWords = null;

  function cell(text, kind, value) {
    const td = document.createElement("td");
    if (kind) td.className = kind;
    if (value !== undefined && value !== null) td.dataset.value = value;
    if (text instanceof Node) td.append(text);
    else td.textContent = text;
    return td;
  }

  function span(text, kind, title) {
    const node = document.createElement("span");
    node.className = kind;
    node.textContent = text;
    if (title) node.title = title;
    return node;
  }

  function status(state) {
    statusWords = statusWords || words();
    const [word, tone] = statusWords[state] || [state, "off"];
    return span(word, "status status--" + tone);
  }

  const side = (name) => cell(SIDE[name] || name, "side-" + name);
  const signedTone = (value) => (Number(value) > 0 ? " gain" : Number(value) < 0 ? " loss" : "");
  const stamp = (ts) => F.day(new Date(ts).toISOString()) + " " + F.time(ts);

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
      if (known) return;
      this.rows.set(key, row);
      if (flash) {
        row.className = "is-new";
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

  function fillCells(fill) {
    return [
      cell(stamp(fill.ts), "time", fill.ts),
      cell(fill.symbol),
      side(fill.side),
      cell(F.quantity(fill.qty), "right", fill.qty),
      cell(F.price(fill.price), "right", fill.price),
      cell(F.money(fill.qty * Number(fill.price)), "right", fill.qty * Number(fill.price)),
      cell(String(fill.order_id), "right muted-figure", fill.order_id),
      cell(String(fill.execution_id), "right muted-figure", fill.execution_id),
    ];
  }

  function positionCells(position) {
    const cost = position.qty * Number(position.average_cost);
    return [
      cell(position.symbol),
      cell(F.quantity(position.qty), "right" + signedTone(position.qty), position.qty),
      cell(position.qty ? F.price(position.average_cost) : F.UNKNOWN, "right", position.average_cost),
      cell(F.money(cost), "right", cost),
      cell(F.money_signed(position.realised), "right" + signedTone(position.realised), position.realised),
      cell(F.money(position.fees), "right", position.fees),
    ];
  }

  function orderCells(order) {
    return [
      cell(stamp(order.ts), "time", order.ts),
      cell(String(order.order_id), "right", order.order_id),
      cell(order.symbol),
      side(order.side),
      cell(status(order.state)),
      cell(F.quantity(order.filled), "right", order.filled),
      cell(F.quantity(order.qty), "right", order.qty),
      cell(F.price(order.price), "right", order.price),
      cell(order.reason || "", "muted"),
    ];
  }

  // A bar from zero to z on the scale of the stop levels, with a mark at each entry level.
  function gauge(z, entry, stop) {
    const node = span("", "gauge");
    const place = (value) => 50 + (50 * Math.max(-stop, Math.min(stop, value))) / stop;
    for (const mark of [-entry, entry]) {
      const tick = span("", "gauge-mark");
      tick.style.left = place(mark) + "%";
      node.append(tick);
    }
    if (z !== null) {
      const bar = span("", "gauge-bar" + (Math.abs(z) >= entry ? " is-beyond" : ""));
      bar.style.left = Math.min(50, place(z)) + "%";
      bar.style.width = Math.abs(place(z) - 50) + "%";
      node.append(bar);
    }
    return node;
  }

  const STANCES = { 1: ["Long spread", "good"], "-1": ["Short spread", "busy"], 0: ["Flat", "off"] };

  function signalCells(entry, stop) {
    return (signal) => {
      const [word, tone] = STANCES[signal.stance];
      const z = cell(F.number(signal.z, 2), "right", signal.z);
      if (signal.z === null) z.title = "Not defined yet: the lookback is not full.";
      return [
        cell(signal.pair),
        z,
        cell(gauge(signal.z, entry, stop), "gauge-cell"),
        cell(F.number(signal.spread, 4), "right", signal.spread),
        cell(F.number(signal.hedge_ratio, 3), "right", signal.hedge_ratio),
        cell(span(word, "status status--" + tone), "", signal.stance),
      ];
    };
  }

  window.heliographLiveTables = {
    LiveTable,
    fillCells,
    positionCells,
    orderCells,
    signalCells,
    status,
    signedTone,
    fillKey: (fill) => new Date(fill.ts).toISOString().slice(0, 10) + "/" + fill.execution_id + "/" + fill.side,
  };
})();
