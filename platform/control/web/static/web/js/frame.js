// The frame's life: clocks, data age, theme, dialogs. The live page feeds the clocks from its stream;
// elsewhere a small JSON view is asked every two seconds while the page is visible.
(function () {
  "use strict";
  const F = window.heliographFormats;
  const content = document.getElementById("content");
  const output = (name) => document.querySelector(`[data-clock="${name}"]`);
  const POLL_MS = 2000;
  const STALE_MS = 5000;
  const LOST_MS = 30000;
  let reading = null; // {session_time, phase, age_ms, received} of the newest heartbeat
  let streamed = 0;

  function show(node, text, level) {
    if (!node) return;
    if (node.textContent !== text) node.textContent = text;
    if ((node.dataset.level || "") !== (level || "")) node.dataset.level = level || "";
  }

  function level(milliseconds) {
    return milliseconds > LOST_MS ? "lost" : milliseconds > STALE_MS ? "stale" : "";
  }

  function tick() {
    const now = new Date();
    show(output("utc"), now.toISOString().slice(11, 19));
    if (!reading) return;
    const age = reading.age_ms + (Date.now() - reading.received);
    show(output("exchange"), reading.session_time ? F.moment(reading.session_time) : F.UNKNOWN);
    show(output("age"), reading.age_ms < 0 ? "no data" : F.age(Math.floor(age / 1000)), level(age));
  }

  function heartbeat(next) {
    reading = { ...next, received: Date.now() };
    tick();
  }

  async function poll() {
    if (document.visibilityState !== "visible" || Date.now() - streamed < 2 * POLL_MS) return;
    try {
      const response = await fetch(content.dataset.statusUrl, { headers: { Accept: "application/json" } });
      if (response.redirected || response.status === 403) return window.location.reload();
      const status = await response.json();
      if (status.node) heartbeat(status.node);
    } catch (error) {
      // The server is away: the age goes on growing by itself, which is what the reader must see.
      console.warn("status", error);
    }
  }

  window.heliographFrame = {
    heartbeat(next) {
      streamed = Date.now();
      heartbeat(next);
    },
  };

  function theme() {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
    localStorage.setItem("heliograph.theme", root.dataset.theme);
    document.dispatchEvent(new CustomEvent("heliograph:theme", { detail: root.dataset.theme }));
  }

  // A dialog asks with the name of what is chosen in its form.
  function nameChosen(dialog) {
    const form = document.getElementById(dialog.dataset.form || "");
    for (const place of form ? dialog.querySelectorAll("[data-chosen]") : []) {
      const field = form.elements[place.dataset.chosen];
      const symbol = field.value === "symbol" && form.elements.symbol ? form.elements.symbol.value.trim().toUpperCase() : "";
      const text = symbol ? `symbol ${symbol}` : field.selectedOptions[0].textContent;
      const first = place === place.parentElement.firstChild ? text[0].toUpperCase() : text[0].toLowerCase();
      place.textContent = first + text.slice(1);
    }
  }

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) {
      const dialog = document.getElementById(opener.dataset.dialog);
      nameChosen(dialog);
      dialog.showModal();
    }
    if (event.target.closest("[data-dialog-close]")) event.target.closest("dialog").close();
    if (event.target.closest("[data-theme-toggle]")) theme();
  });

  // A form is sent once: a second click does not deploy twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
    window.addEventListener("pageshow", () => delete form.dataset.sent, { once: true });
  });

  if (content) {
    setInterval(tick, 250);
    setInterval(poll, POLL_MS);
    poll();
    tick();
  }
})();
