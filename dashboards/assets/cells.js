// Cells and rows of the tables that scripts fill, with figures by the shared formats.
(function () {
  "use strict";
  const F = window.heliographFormats;
  const SIDE = { buy: "Buy", sell: "Sell" };
  const STANCES = { 1: ["Long spread", "good"], "-1": ["Short spread", "busy"], 0: ["Flat", "off"] };
  let statusWords = null;

  // `text` may be a node; `value` is what the cell is sorted and saved by, where that is not its text.
  function cell(text, kind, value) {
    const td = document.createElement("td");
    if (kind) td.className = kind;
    if (value !== undefined && value !== null) td.dataset.value = value;
    if (text instanceof Node) td.append(text);
    else td.textContent = text;
    return td;
  }

  function span(text, kind) {
    const node = document.createElement("span");
    node.className = kind;
    node.textContent = text;
    return node;
  }

  const dot = (word, tone) => span(word, "status status--" + tone);

  // A state as a word with a dot; the words come from control/web/words.py.
  function status(state) {
    statusWords = statusWords || JSON.parse(document.getElementById("status-words").textContent);
    return dot(...(statusWords[state] || [state, "off"]));
  }

  const signedTone = (value) => (Number(value) > 0 ? " gain" : Number(value) < 0 ? " loss" : "");
  const figure = (value, rule, ...options) => cell(F[rule](value, ...options), "right", value);
  const signed = (value, rule) => cell(F[rule](value), "right" + signedTone(value), value);
  const day = (yyyymmdd) => cell(F.day(yyyymmdd), "time", yyyymmdd);
  const stamp = (ts) => cell(F.day(new Date(ts).toISOString()) + " " + F.time(ts), "time", ts);
  const side = (name) => cell(SIDE[name] || name, "side-" + name);
  const stance = (value) => cell(dot(...STANCES[value]), "", value);

  function row(cells) {
    const tr = document.createElement("tr");
    tr.append(...cells);
    return tr;
  }

  window.heliographCells = { cell, span, dot, status, signedTone, figure, signed, day, stamp, side, stance, row };
})();
