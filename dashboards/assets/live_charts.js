// The live page's two charts. Frames are collected and drawn a few times a second, with
// Plotly.extendTraces and a window of points, so that a busy stream does not cost a browser its time.
(function () {
  "use strict";
  const C = window.heliographCharts;
  const EQUITY = 0;
  const BUYS = 3;
  const SELLS = 4;
  const MARKS = 200;
  const LABEL_PX = 15;
  const LABELLED = 6; // held pairs whose line carries its name

  // One mark for an order, however many executions it took.
  class Marks {
    constructor() {
      this.orders = new Set();
    }

    fresh(fills) {
      const first = fills.filter((fill) => !this.orders.has(fill.order_id) && this.orders.add(fill.order_id));
      for (const order of this.orders) {
        if (this.orders.size <= 2 * MARKS) break;
        this.orders.delete(order);
      }
      return first;
    }
  }

  class EquityChart {
    constructor(drawn, points) {
      this.drawn = drawn;
      this.points = points;
      this.clearPending();
    }

    clearPending() {
      this.pending = { rows: [], buys: [], sells: [] };
    }

    snapshot(equity, fills) {
      this.clearPending();
      const columns = [1, 2, 3].map((column) => equity.map((row) => Number(row[column])));
      const times = equity.map((row) => row[0]);
      columns.forEach((values, trace) => this.set(trace, times.slice(), values));
      this.last = times.length ? times[times.length - 1] : -Infinity;
      this.level = times.length ? columns[0][times.length - 1] : null;
      const first = times.length ? times[0] : Infinity;
      this.marks = new Marks();
      const marked = this.marks.fresh(fills);
      for (const [trace, name] of [[BUYS, "buy"], [SELLS, "sell"]]) {
        const own = marked.filter((fill) => fill.side === name && fill.ts >= first);
        this.set(trace, own.map((fill) => fill.ts), own.map((fill) => valueAt(times, columns[0], fill.ts)));
      }
      C.applySpan(this.drawn);
      window.Plotly.redraw(this.drawn);
    }

    set(trace, x, y) {
      this.drawn.data[trace].x = x;
      this.drawn.data[trace].y = y;
    }

    equity(rows) {
      for (const row of rows) {
        if (row[0] <= this.last) continue;
        this.last = row[0];
        this.level = Number(row[1]);
        this.pending.rows.push(row);
      }
      // A page nobody looks at is not drawn; it must not hoard either.
      if (this.pending.rows.length > this.points) this.pending.rows.splice(0, this.pending.rows.length - this.points);
    }

    fills(rows) {
      if (this.level === null) return;
      for (const fill of this.marks.fresh(rows)) {
        this.pending[fill.side === "buy" ? "buys" : "sells"].push([fill.ts, this.level]);
      }
    }

    draw() {
      const { rows, buys, sells } = this.pending;
      if (!rows.length && !buys.length && !sells.length) return;
      this.clearPending();
      C.applySpan(this.drawn);
      const x = rows.map((row) => row[0]);
      const added = { x: [x, x, x], y: [1, 2, 3].map((column) => rows.map((row) => Number(row[column]))) };
      const most = { x: [this.points, this.points, this.points], y: [this.points, this.points, this.points] };
      for (const marks of [buys, sells]) {
        added.x.push(marks.map((mark) => mark[0]));
        added.y.push(marks.map((mark) => mark[1]));
        most.x.push(MARKS);
        most.y.push(MARKS);
      }
      window.Plotly.extendTraces(this.drawn, added, [EQUITY, 1, 2, BUYS, SELLS], most);
    }
  }

  // The value of the newest point not after `ts` (times ascending).
  function valueAt(times, values, ts) {
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= ts) low = middle + 1;
      else high = middle;
    }
    return values[Math.max(0, low - 1)];
  }

  class SignalChart {
    constructor(drawn, points, note) {
      this.drawn = drawn;
      this.points = points;
      this.note = note;
      this.selected = null;
      this.snapshot([]);
      document.addEventListener("heliograph:dressed", () => this.rebuild());
    }

    snapshot(signals) {
      this.series = new Map();
      this.newest = new Map();
      this.pending = [];
      this.dirty = true;
      this.add(signals);
      this.pending = [];
    }

    add(signals) {
      for (const signal of signals) {
        const before = this.newest.get(signal.pair);
        if (before && signal.ts <= before.ts) continue;
        if (!before || before.stance !== signal.stance) this.dirty = true;
        this.newest.set(signal.pair, signal);
        const points = this.series.get(signal.pair) || this.series.set(signal.pair, { x: [], y: [] }).get(signal.pair);
        points.x.push(signal.ts);
        points.y.push(signal.z);
        if (points.x.length > this.points) {
          points.x.shift();
          points.y.shift();
        }
        this.pending.push(signal);
      }
    }

    // Pairs of the newest decision; those of an older formation are gone.
    current() {
      const last = Math.max(...[...this.newest.values()].map((signal) => signal.ts));
      return [...this.newest.values()].filter((signal) => signal.ts === last).sort((a, b) => a.pair.localeCompare(b.pair));
    }

    select(pair) {
      this.selected = this.selected === pair ? null : pair;
      this.rebuild();
    }

    draw() {
      if (!this.pending.length && !this.dirty) return;
      const shown = new Set(this.shown);
      const now = this.current();
      if (this.dirty || now.some((signal) => !shown.has(signal.pair)) || now.length !== shown.size) {
        this.rebuild();
        return;
      }
      const byTrace = this.shown.map((pair) => this.pending.filter((signal) => signal.pair === pair));
      this.pending = [];
      C.applySpan(this.drawn);
      this.drawn.layout.annotations = this.labels(now);
      const added = { x: byTrace.map((own) => own.map((s) => s.ts)), y: byTrace.map((own) => own.map((s) => s.z)) };
      window.Plotly.extendTraces(this.drawn, added, byTrace.map((_, trace) => trace), this.points);
    }

    rebuild() {
      this.dirty = false;
      this.pending = [];
      const now = this.newest.size ? this.current() : [];
      this.shown = now.map((signal) => signal.pair);
      this.colours = new Map();
      const held = now.filter((signal) => signal.stance !== 0);
      held.forEach((signal, position) => this.colours.set(signal.pair, C.colour("category-" + ((position % 6) + 1))));
      if (this.selected) this.colours.set(this.selected, C.colour("accent"));
      const traces = now.map((signal) => this.trace(signal));
      this.drawn.layout.annotations = this.labels(now);
      window.Plotly.react(this.drawn, traces, this.drawn.layout).then(() => {
        C.applySpan(this.drawn);
        window.Plotly.redraw(this.drawn);
      });
      if (this.note) this.note.textContent = held.length + " of " + now.length + " pairs held";
    }

    trace(signal) {
      const { x, y } = this.series.get(signal.pair);
      const strong = this.selected ? this.selected === signal.pair : this.colours.has(signal.pair);
      const line = { color: this.colours.get(signal.pair) || C.colour("muted"), width: strong ? 1.4 : 1 };
      return { type: "scatter", mode: "lines", name: signal.pair, x: x.slice(), y: y.slice(), line, opacity: strong ? 1 : 0.3 };
    }

    labels(now) {
      const named = now.filter((s) => s.z !== null && (this.selected ? s.pair === this.selected : this.colours.has(s.pair)));
      const shown = named.slice(0, LABELLED).sort((a, b) => a.z - b.z);
      const [low, high] = this.drawn.layout.yaxis.range;
      const apart = (LABEL_PX * (high - low)) / this.drawn.clientHeight;
      let below = -Infinity;
      return shown.map((signal) => ({
        x: 1,
        xref: "paper",
        y: (below = Math.max(signal.z, below + apart)),
        text: signal.pair,
        xanchor: "left",
        xshift: 4,
        showarrow: false,
        font: { color: this.colours.get(signal.pair), size: 12 },
      }));
    }
  }

  window.heliographLiveCharts = { EquityChart, SignalChart };
})();
