// A running backtest: progress asked for each second; when it has ended, the page shows the result.
(function () {
  "use strict";
  const panel = document.getElementById("progress");
  if (!panel) return;
  const PERIOD_MS = 1000;
  const bar = panel.querySelector(".progress");
  const say = (text) => (panel.querySelector("[data-progress-note]").textContent = text);

  async function ask() {
    try {
      const response = await fetch(panel.dataset.status, { headers: { Accept: "application/json" } });
      if (response.redirected || !response.ok) return window.location.reload();
      const run = await response.json();
      if (run.ended) return window.location.reload();
      bar.firstElementChild.style.width = 100 * run.progress + "%";
      bar.setAttribute("aria-valuenow", Math.round(100 * run.progress));
      panel.querySelector("[data-progress-figure]").textContent = window.heliographFormats.percent(run.progress);
      const left = run.seconds_left;
      panel.querySelector("[data-progress-left]").textContent =
        left === null ? "" : "About " + window.heliographFormats.duration(left) + " left";
      if (run.state === "cancelling") say("Cancelling");
      else if (run.note) say(run.note);
    } catch (error) {
      say("No answer from the server; asking again.");
      console.warn("backtest status", error);
    }
    window.setTimeout(ask, PERIOD_MS);
  }

  window.setTimeout(ask, PERIOD_MS);
})();
