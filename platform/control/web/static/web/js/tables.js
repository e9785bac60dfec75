// Every table.grid[data-table]: sort in the header, filter, hide and resize columns (remembered for this
// person on this machine), arrows and enter, csv, and a count of rows. Rows may come and go.
(function () {
  "use strict";
  const person = (document.getElementById("content") || { dataset: {} }).dataset.user || "";
  const count = (value) => window.heliographFormats.quantity(value);

  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    svg.setAttribute("class", "icon icon--small");
    use.setAttribute("href", "#icon-" + name);
    svg.append(use);
    return svg;
  }

  function element(tag, properties, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  class Grid {
    constructor(table) {
      this.table = table;
      this.body = table.tBodies[0];
      this.heads = [...table.tHead.rows[0].cells];
      this.key = `heliograph.table.${person}.${table.dataset.table}`;
      this.kept = JSON.parse(localStorage.getItem(this.key) || "{}");
      this.words = "";
      this.style = document.head.appendChild(document.createElement("style"));
      table.dataset.grid = "g" + Math.random().toString(36).slice(2);
      this.heads.forEach((head, index) => this.head(head, index));
      this.tools();
      this.restyle();
      this.observer = new MutationObserver(() => this.refresh());
      this.refresh();
    }

    // Sorting and filtering touch the rows themselves, so they are not watched meanwhile.
    refresh() {
      this.observer.disconnect();
      if (this.sorted) this.sort();
      let shown = 0;
      const rows = [...this.body.rows];
      for (const row of rows) {
        const hidden = this.words !== "" && !row.textContent.toLowerCase().includes(this.words);
        row.hidden = hidden;
        if (!hidden) shown += 1;
        if (row.tabIndex !== 0) row.tabIndex = 0;
      }
      if (this.counter) {
        const units = this.table.dataset.unit || "rows";
        const unit = rows.length === 1 ? units.replace(/s$/, "") : units;
        const text = this.words ? `${count(shown)} of ${count(rows.length)} ${unit}` : `${count(rows.length)} ${unit}`;
        if (this.counter.textContent !== text) this.counter.textContent = text;
      }
      this.observer.observe(this.body, { childList: true });
    }

    head(head, index) {
      if (head.textContent.trim() && !head.hasAttribute("data-fixed")) {
        head.dataset.sortable = "1";
        head.append(element("span", { className: "sort" }));
        head.addEventListener("click", (event) => {
          if (event.target.className !== "resize") this.sortBy(index);
        });
      }
      const handle = element("span", { className: "resize" });
      handle.addEventListener("pointerdown", (event) => this.resize(event, head, index));
      head.append(handle);
    }

    sortBy(index) {
      const again = this.sorted && this.sorted.index === index;
      const down = again ? !this.sorted.down : this.heads[index].classList.contains("right");
      this.sorted = { index, down };
      this.heads.forEach((head, at) => {
        if (at === index) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      this.refresh();
    }

    sort() {
      const { index, down } = this.sorted;
      const value = (row) => {
        const cell = row.cells[index];
        return cell ? cell.dataset.value ?? cell.textContent.trim() : "";
      };
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
        return numbers ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
      };
      const rows = [...this.body.rows].sort((a, b) => (down ? compare(b, a) : compare(a, b)));
      rows.forEach((row, at) => {
        if (this.body.rows[at] !== row) this.body.insertBefore(row, this.body.rows[at] || null);
      });
    }

    resize(event, head, index) {
      event.preventDefault();
      const start = event.clientX - head.offsetWidth;
      const move = (moved) => {
        this.kept.widths = { ...this.kept.widths, [index]: Math.max(40, Math.round(moved.clientX - start)) };
        this.restyle();
      };
      const end = () => {
        window.removeEventListener("pointermove", move);
        this.keep();
      };
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", end, { once: true });
    }

    keep() {
      localStorage.setItem(this.key, JSON.stringify(this.kept));
    }

    // Hidden and resized columns as rules of this table, so that rows to come obey them too.
    restyle() {
      const at = (index) => `[data-grid="${this.table.dataset.grid}"] tr > :nth-child(${index + 1})`;
      const hidden = (this.kept.hidden || []).map((index) => `${at(index)}{display:none}`);
      const widths = Object.entries(this.kept.widths || {}).map(
        ([index, width]) => `${at(Number(index))}{width:${width}px;min-width:${width}px;max-width:${width}px}`
      );
      this.style.textContent = hidden.concat(widths).join("\n");
    }

    tools() {
      const panel = this.table.closest(".panel");
      const place = panel && panel.querySelector(".table-tools");
      if (!place) return;
      this.counter = element("span", { className: "table-count" });
      const filter = element("input", { type: "search", placeholder: "Filter", ariaLabel: "Filter rows" });
      filter.addEventListener("input", () => {
        this.words = filter.value.trim().toLowerCase();
        this.refresh();
      });
      const csv = element("button", { type: "button", className: "button button--quiet button--icon", title: "Save as csv" }, icon("download"));
      csv.addEventListener("click", () => this.csv());
      place.replaceChildren(this.counter, filter, this.columnsMenu(), csv);
    }

    columnsMenu() {
      const menu = element("details", { className: "columns-menu" });
      const list = document.createElement("div");
      this.heads.forEach((head, index) => {
        if (!head.textContent.trim()) return;
        const box = element("input", { type: "checkbox", checked: !(this.kept.hidden || []).includes(index) });
        box.addEventListener("change", () => {
          const hidden = new Set(this.kept.hidden || []);
          if (box.checked) hidden.delete(index);
          else hidden.add(index);
          this.kept.hidden = [...hidden];
          this.restyle();
          this.keep();
        });
        list.append(element("label", {}, box, head.textContent.trim()));
      });
      menu.append(element("summary", { className: "button button--quiet button--icon", title: "Columns" }, icon("columns")), list);
      return menu;
    }

    csv() {
      const shown = (cell, index) => !(this.kept.hidden || []).includes(index);
      const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
      const line = (cells) => [...cells].filter(shown).map((cell) => quoted(cell.dataset.value ?? cell.textContent.trim())).join(",");
      const rows = [...this.body.rows].filter((row) => !row.hidden);
      const text = [line(this.heads), ...rows.map((row) => line(row.cells))].join("\n") + "\n";
      const link = element("a", { download: this.table.dataset.table + ".csv", href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  }

  function adopt() {
    for (const table of document.querySelectorAll("table.grid[data-table]:not([data-grid])")) new Grid(table);
  }

  function step(row, key) {
    let next = row;
    do next = key === "ArrowDown" ? next.nextElementSibling : next.previousElementSibling;
    while (next && next.hidden);
    if (next) next.focus();
  }

  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key === "/" && !typing) {
      const filter = document.querySelector(".table-tools input[type=search]");
      if (filter) {
        event.preventDefault();
        filter.focus();
      }
    }
    const row = event.target.closest && event.target.closest("table.grid tbody tr");
    if (!row || typing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(row, event.key);
    } else if (event.key === "Enter" && event.target === row) {
      const link = row.querySelector("a.row-link");
      if (link) link.click();
    }
  });

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll(".columns-menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  adopt();
  new MutationObserver(adopt).observe(document.body, { childList: true, subtree: true });
})();
