// What every chart shares: the theme of the page, and ranges by presets. Colours come from Python
// (dashboards/theme.py) as Plotly templates and CSS variables.
(function () {
  "use strict";
  const DAY_MS = 86400000;
  const spans = new WeakMap(); // chart -> days, or null for all

  const templates = () => JSON.parse(document.getElementById("plotly-templates").textContent);
  const theme = () => document.documentElement.dataset.theme || "dark";
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--h-" + name).trim();

  // The Plotly element of the dcc.Graph with this id, or null while it is not drawn yet.
  function chart(id) {
    const holder = document.getElementById(id);
    const drawn = holder && holder.querySelector(".js-plotly-plot");
    return drawn && drawn.layout && window.Plotly ? drawn : null;
  }

  function whenDrawn(id) {
    return new Promise((resolve) => {
      const look = () => (chart(id) ? resolve(chart(id)) : window.setTimeout(look, 50));
      look();
    });
  }

  function newest(drawn) {
    let last = -Infinity;
    for (const trace of drawn.data) {
      if (trace.x && trace.x.length) last = Math.max(last, +new Date(trace.x[trace.x.length - 1]));
    }
    return last;
  }

  // Writes the preset's range into the layout; the caller draws.
  function applySpan(drawn) {
    const days = spans.get(drawn);
    if (days === undefined) return;
    const last = newest(drawn);
    if (days === null || !Number.isFinite(last)) {
      drawn.layout.xaxis.autorange = true;
      return;
    }
    drawn.layout.xaxis.autorange = false;
    drawn.layout.xaxis.range = [last - days * DAY_MS, last + days * DAY_MS * 0.02];
  }

  function dress(drawn) {
    const template = templates()[theme()];
    if (drawn.layout.template !== template) window.Plotly.relayout(drawn, { template });
  }

  function chosen(group) {
    const button = group.querySelector('[aria-pressed="true"]');
    return !button || button.dataset.days === "all" ? null : Number(button.dataset.days);
  }

  function span(drawn) {
    const group = document.querySelector(`[data-presets="${drawn.closest(".chart").id}"]`);
    if (group && !spans.has(drawn)) spans.set(drawn, chosen(group));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-presets] button");
    if (!button) return;
    const group = button.closest("[data-presets]");
    for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
    const drawn = chart(group.dataset.presets);
    if (!drawn) return;
    spans.set(drawn, chosen(group));
    applySpan(drawn);
    window.Plotly.redraw(drawn);
  });

  document.addEventListener("heliograph:theme", () => {
    for (const drawn of document.querySelectorAll(".js-plotly-plot")) dress(drawn);
    document.dispatchEvent(new CustomEvent("heliograph:dressed"));
  });

  // A chart zoomed by hand keeps its range until a preset is chosen again.
  function watch(drawn) {
    if (drawn.heliographWatched) return;
    drawn.heliographWatched = true;
    span(drawn);
    applySpan(drawn);
    dress(drawn);
    drawn.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change) spans.delete(drawn);
    });
  }

  async function adopt() {
    for (const holder of document.querySelectorAll(".chart[id]")) watch(await whenDrawn(holder.id));
  }

  window.heliographCharts = { chart, whenDrawn, watch, applySpan, colour };
  new MutationObserver((changes, observer) => {
    if (!document.querySelector(".chart[id]")) return;
    observer.disconnect();
    adopt();
  }).observe(document.body, { childList: true, subtree: true });
})();
