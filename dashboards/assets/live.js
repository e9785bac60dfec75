// The live page: puts the stream's frames into tiles, charts and tables, and says how fresh they are.
(function () {
  "use strict";
  const F = window.heliographFormats;
  const X = window.heliographCells;
  const T = window.heliographLiveTables;
  const C = window.heliographCharts;
  const DRAW_MS = 200;
  const STALE_MS = 5000;
  const WORKING = new Set(["sent", "accepted", "suspended", "partially_filled"]);

  class LivePage {
    constructor(root, equityChart, signalChart) {
      this.root = root;
      this.capital = Number(root.dataset.capital);
      const points = Number(root.dataset.window);
      const { EquityChart, SignalChart } = window.heliographLiveCharts;
      this.equityChart = new EquityChart(equityChart, points);
      this.signalChart = new SignalChart(signalChart, points, document.getElementById("live-signals-note"));
      const body = (id) => document.getElementById(id);
      const scale = [Number(root.dataset.entry) || 2, Number(root.dataset.stop) || 4];
      this.fills = new T.LiveTable(body("live-fills"), T.fillKey, T.fillCells, true);
      this.orders = new T.LiveTable(body("live-orders"), (order) => order.order_id, T.orderCells, true);
      this.positions = new T.LiveTable(body("live-positions"), (one) => one.symbol, T.positionCells, false);
      this.pairs = new T.LiveTable(body("live-pairs"), (one) => one.pair, T.signalCells(...scale), false);
      // Only where the deployment has a plan.
      const planned = body("live-schedules");
      this.schedules = planned && new T.LiveTable(planned, (one) => one.symbol, T.scheduleCells, false);
      this.head();
      this.connection = "connecting";
      this.heardAt = 0; // this browser's clock, of the newest heartbeat
      body("live-pairs").addEventListener("click", (event) => {
        const row = event.target.closest("tr");
        if (row) this.signalChart.select(row.firstChild.textContent);
      });
      this.stream = new window.heliographLiveStream(root.dataset.live, {
        snapshot: (data, ts) => this.snapshot(data, ts),
        delta: (data, ts) => this.delta(data, ts),
        state: (state, attempt) => this.connected(state, attempt),
      });
    }

    start() {
      this.stream.open();
      window.setInterval(() => this.draw(), DRAW_MS);
      window.setInterval(() => this.freshness(), 500);
    }

    snapshot(data, ts) {
      this.held = new Map();
      this.working = new Map();
      this.engine = {};
      for (const table of [this.fills, this.orders, this.positions, this.pairs, this.schedules]) if (table) table.clear();
      this.busted = new Set(data.fills.filter((fill) => fill.busted).map(T.executionKey));
      this.equityChart.snapshot(data.equity, data.fills.filter((fill) => !fill.busted));
      this.signalChart.snapshot(data.signals);
      this.equity = data.equity[data.equity.length - 1] || null;
      this.take({ ...data, equity: [] }, ts, false);
      this.showSignals();
      this.showTiles();
    }

    delta(data, ts) {
      // What the venue has undone or corrected is told apart by the database alone.
      if (data.busts || (data.fills || []).some((fill) => this.busted.has(T.executionKey(fill)))) return this.stream.resync();
      if (data.equity) {
        this.equity = data.equity[data.equity.length - 1];
        this.equityChart.equity(data.equity);
      }
      if (data.fills) this.equityChart.fills(data.fills);
      if (data.signals) {
        this.signalChart.add(data.signals);
        this.showSignals();
      }
      this.take(data, ts, true);
      this.showTiles();
    }

    take(data, ts, flash) {
      if (data.fills) this.fills.put(data.fills, flash);
      if (data.orders) this.orders.put(data.orders, flash);
      if (data.positions) this.positions.put(data.positions, flash);
      if (data.schedules && this.schedules) this.schedules.put(data.schedules, false);
      for (const one of data.positions || []) this.held.set(one.symbol, one.qty);
      for (const one of data.orders || []) {
        if (WORKING.has(one.state)) this.working.set(one.order_id, one);
        else this.working.delete(one.order_id);
      }
      if (data.engine) this.showEngine(data.engine, ts);
    }

    showSignals() {
      if (!this.signalChart.newest.size) return;
      const now = this.signalChart.current();
      this.pairs.put(now, false);
      this.pairs.keep(new Set(now.map((signal) => signal.pair)));
    }

    showTiles() {
      const [, equity, unrealised, realised, gross] = this.equity || [];
      const profit = this.equity ? Number(equity) - this.capital : null;
      const gained = profit === null ? null : profit / this.capital;
      this.tile("equity", F.compact(equity), equity, F.money(equity));
      this.tile("profit", F.compact_signed(profit), profit, F.percent_signed(gained) + " of " + F.compact(this.capital), true);
      this.tile("unrealised", F.compact_signed(unrealised), unrealised, "", true);
      this.tile("realised", F.compact_signed(realised), realised, null, true);
      const leverage = this.equity ? Number(gross) / Number(equity) : null;
      this.tile("gross", F.compact(gross), gross, leverage === null ? "" : F.percent(leverage) + " of equity");
      const quantities = [...this.held.values()];
      const long = quantities.filter((qty) => qty > 0).length;
      const short = quantities.filter((qty) => qty < 0).length;
      this.count("orders", counted(this.working.size, "working order"));
      this.count("positions", counted(long + short, "position"));
      this.tile("positions", String(long + short), null, long + " long, " + short + " short");
      this.tile("working", String(this.working.size), null, "");
    }

    // What the dialogs of the buttons say would be cancelled or closed.
    count(kind, text) {
      for (const node of document.querySelectorAll(`[data-count="${kind}"]`)) if (node.textContent !== text) node.textContent = text;
    }

    // `exact` is the figure behind the text, for the hover; `note` null keeps the note that stands there.
    tile(name, text, exact, note, signed) {
      const node = this.root.querySelector(`[data-tile="${name}"]`);
      const value = node.children[1];
      if (value.textContent !== text || value.firstElementChild) value.textContent = text;
      value.title = exact === null ? "" : exact === undefined ? "Nothing was reported yet." : F.money(exact);
      value.className = "tile-value" + (signed ? X.signedTone(exact) : "");
      if (note !== null && node.children[2].textContent !== note) node.children[2].textContent = note;
    }

    // `ts` and `engine.received` are the server's clock: their difference is how old the heartbeat was.
    showEngine(engine, ts) {
      this.engine = { ...this.engine, ...engine };
      const behind = engine.received ? Math.max(0, ts - engine.received) : 0;
      if (engine.received) this.heardAt = Date.now() - behind;
      const now = this.engine;
      const state = now.state || "pending";
      const stopped = JSON.stringify([now.breaks || [], now.killed || []]);
      const changed = this.stopped !== undefined && stopped !== this.stopped;
      if (now.session_phase) this.stopped = stopped;
      if (changed || (this.state && now.state && now.state !== this.state)) this.refreshHead();
      this.state = now.state || this.state;
      const tile = this.root.querySelector('[data-tile="engine"]');
      const shown = X.status(this.ended ? "stopped" : state);
      shown.classList.add("status--large");
      tile.children[1].replaceChildren(shown);
      tile.children[2].textContent = now.reason || (now.session_phase ? "session " + now.session_phase.replace("_", " ") : "");
      if (now.session_time) {
        window.heliographFrame.heartbeat({ session_time: now.session_time, phase: now.session_phase, age_ms: now.feed_age_ms < 0 ? -1 : now.feed_age_ms + behind });
      }
      this.showFacts(now);
    }

    showFacts(now) {
      const yes = (good, word, bad) => X.dot(good ? word : bad, good ? "good" : "bad");
      const facts = [
        ["Link to the engine", yes(now.link === "up", "Up", "Down")],
        ["Core", yes(now.core_alive, "Alive", "Down")],
        ["Order session", yes(now.venue_connected, "Logged in", "Lost")],
        ["Market data", now.feed_age_ms < 0 || now.feed_age_ms === undefined ? "none yet" : F.age(now.feed_age_ms / 1000)],
        ["Session", now.session_date ? F.day(now.session_date) + ", " + now.session_phase.replace("_", " ") : F.UNKNOWN],
        ["Exchange clock, UTC", now.session_time ? F.moment(now.session_time) : F.UNKNOWN],
        ["Breaks", this.listed(now.breaks, (symbol) => symbol || "every symbol", "None")],
        ["Killed", this.listed(now.killed, (one) => one.scope.replace(":", " ") + " " + one.level, "Nothing")],
        ["Journal records", F.quantity(now.events)],
        ["Anomalies", F.quantity(now.anomalies)],
        ["Desired state applied", now.revision === undefined ? F.UNKNOWN : "revision " + F.quantity(now.revision)],
        ["Stream frame", String(this.stream.sequence ?? F.UNKNOWN)],
      ];
      const list = document.getElementById("live-engine");
      const children = facts.flatMap(([name, value]) => {
        const term = document.createElement("dt");
        const description = document.createElement("dd");
        term.textContent = name;
        description.append(value);
        return [term, description];
      });
      list.replaceChildren(...children);
    }

    // Entries in words, or one good word for none.
    listed(entries, words, none) {
      if (entries === undefined) return F.UNKNOWN;
      return entries.length ? X.dot(entries.map(words).join(", "), "bad") : X.dot(none, "good");
    }

    head() {
      this.badge = document.getElementById("live-connection");
      this.ended = document.querySelector("[data-ended]") !== null;
    }

    // The strategy's state has changed, and with it the buttons that make sense.
    async refreshHead() {
      const response = await fetch(window.location.href).catch(() => null);
      const shown = document.getElementById("live-head");
      if (!response || !response.ok || shown.querySelector("dialog[open]")) return;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("live-head");
      if (fresh) shown.replaceWith(fresh);
      this.head();
      this.freshness();
      this.showTiles();
    }

    connected(state, attempt) {
      this.connection = state;
      this.attempt = attempt;
      this.freshness();
      if (state === "reconnecting" && attempt > 2) this.stillSignedIn();
    }

    // A session that has ended refuses every socket: the sign-in page says so better than a spinner.
    async stillSignedIn() {
      const response = await fetch(document.getElementById("content").dataset.statusUrl).catch(() => null);
      if (response && (response.redirected || response.status === 403)) window.location.reload();
    }

    freshness() {
      const silence = this.heardAt ? Date.now() - this.heardAt : 0;
      const down = this.engine && this.engine.link === "down";
      const quiet = !this.ended && this.connection === "live" && silence > STALE_MS;
      const stale = this.connection !== "live" || (!this.ended && (quiet || down));
      this.root.classList.toggle("is-stale", stale);
      this.root.dataset.connection = stale && this.connection === "live" ? "stale" : this.connection;
      this.show(...this.words(silence, down, quiet));
    }

    words(silence, down, quiet) {
      const old = this.heardAt ? ", " + F.age(Math.floor(silence / 1000)) : "";
      if (this.connection === "refused") return ["No longer allowed to see this", "bad"];
      if (this.connection === "connecting") return ["Connecting", "busy"];
      if (this.connection === "reconnecting") return ["Reconnecting" + old, "warn"];
      if (this.ended) return ["Ended", "off"];
      if (down) return ["Engine not linked" + old, "bad"];
      if (quiet) return ["Stale" + old, "warn"];
      return ["Live", "good"];
    }

    show(text, tone) {
      if (this.badge.textContent !== text) this.badge.textContent = text;
      this.badge.className = "status status--" + tone;
    }

    draw() {
      if (document.visibilityState !== "visible") return;
      this.equityChart.draw();
      this.signalChart.draw();
    }
  }

  const counted = (count, noun) => count + " " + noun + (count === 1 ? "" : "s");

  async function start() {
    const [equity, signals] = await Promise.all([C.whenDrawn("live-equity"), C.whenDrawn("live-signals")]);
    C.watch(equity);
    C.watch(signals);
    const page = new LivePage(document.getElementById("live"), equity, signals);
    window.heliographLive = page;
    page.start();
  }

  start();
})();
