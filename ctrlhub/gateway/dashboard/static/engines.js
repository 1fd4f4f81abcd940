// The table of engines: sorted, filtered, chosen from with keys; only cells that differ are touched.

import { byId, make, setText, setClass, bytes, seconds, count } from "./dom.js";
import { kindOf } from "./overview.js";

const COLUMNS = [
  { name: "id", title: "Id", number: true },
  { name: "state", title: "State" },
  { name: "host", title: "Host" },
  { name: "set", title: "Set", text: (each) => each.set || "–" },
  { name: "pid", title: "Pid", number: true },
  { name: "cpu", title: "CPU", number: true, text: (each) => (each.cpu === null ? "–" : each.cpu.toFixed(2)) },
  { name: "rss", title: "Memory", number: true, text: (each) => bytes(each.rss) },
  { name: "label", title: "Runs", text: (each) => each.label || (each.running ? String(each.running) : "–") },
  { name: "since", title: "For", number: true, text: (each, now) => (each.running && each.since ? seconds(Math.max(0, now - each.since)) : "–") },
  { name: "queued", title: "Queue", number: true },
  { name: "completed", title: "Ended", number: true, text: (each) => count(each.completed) },
  { name: "restarts", title: "Restarts", number: true },
];

export class Engines {
  constructor(chosen) {
    this.onchosen = chosen;
    this.rows = new Map();
    this.chosen = new Set();
    this.by = "id";
    this.down = false;
    this.engines = new Map();
    for (const column of COLUMNS) {
      const head = make("th", { scope: "col", ...(column.number ? { class: "number" } : {}) }, make("button", { type: "button", onclick: () => this.sort(column.name) }, column.title));
      head.dataset.name = column.name;
      byId("engine-head").append(head);
    }
    byId("engine-filter").addEventListener("input", () => this.show());
    byId("engine-rows").addEventListener("keydown", (event) => this.key(event));
    byId("engine-rows").addEventListener("click", (event) => this.click(event));
    this.mark();
  }

  take(engines, now) {
    this.engines = engines;
    this.now = now;
    setText(byId("count-engines"), engines.size);
    const before = this.chosen.size;
    for (const id of this.chosen) if (!engines.has(id)) this.chosen.delete(id);
    if (before !== this.chosen.size) this.onchosen(this.chosen);
    this.show();
  }

  sort(name) {
    this.down = this.by === name ? !this.down : ["cpu", "rss", "queued", "completed", "restarts"].includes(name);
    this.by = name;
    this.mark();
    this.show();
  }

  mark() {
    for (const head of byId("engine-head").children) head.ariaSort = head.dataset.name !== this.by ? "none" : this.down ? "descending" : "ascending";
  }

  ordered() {
    const wanted = byId("engine-filter").value.trim().toLowerCase();
    const hit = (each) => !wanted || [String(each.id), each.host, each.set, each.state, each.label].some((text) => (text ?? "").toLowerCase().includes(wanted));
    const way = this.down ? -1 : 1;
    const value = (each) => (this.by === "since" ? (each.running ? -each.since : null) : each[this.by]);
    return [...this.engines.values()].filter(hit).sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const blank = (x === null || x === "") - (y === null || y === "");
      return blank || way * (x < y ? -1 : x > y ? 1 : 0) || a.id - b.id;
    });
  }

  show() {
    if (byId("engines").hidden) return;
    const body = byId("engine-rows");
    const ordered = this.ordered();
    const kept = new Set(ordered.map((each) => each.id));
    const held = this.rows.size && body.contains(document.activeElement) ? Number(document.activeElement.dataset.id) : null;
    for (const [id, row] of this.rows) if (!kept.has(id)) { row.remove(); this.rows.delete(id); }
    ordered.forEach((engine, place) => {
      let row = this.rows.get(engine.id);
      if (!row) this.rows.set(engine.id, (row = blank(engine.id)));
      if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
      this.fill(row, engine);
    });
    if (held !== null && kept.has(held)) this.rows.get(held).focus({ preventScroll: true });
    if (!kept.has(this.current)) this.current = ordered[0]?.id;
    for (const [id, row] of this.rows) row.tabIndex = id === this.current ? 0 : -1;
    byId("engine-empty").hidden = this.engines.size > 0;
    byId("engine-table").hidden = this.engines.size === 0;
    const picked = this.chosen.size ? `, ${this.chosen.size} chosen` : "";
    setText(byId("engine-count"), `${ordered.length} of ${this.engines.size}${picked}`);
  }

  fill(row, engine) {
    COLUMNS.forEach((column, place) => {
      const text = column.text ? column.text(engine, this.now) : String(engine[column.name] ?? "–");
      const cell = row.cells[place];
      if (column.name === "state") {
        setClass(cell.firstChild, `mark s-${kindOf(engine)}`);
        setText(cell.lastChild, text);
      } else setText(cell, text);
      if (column.name === "label" && cell.title !== text) cell.title = text;
    });
    const chosen = String(this.chosen.has(engine.id));
    if (row.ariaSelected !== chosen) row.ariaSelected = chosen;
  }

  click(event) {
    const row = event.target.closest("tr");
    if (row) this.choose(Number(row.dataset.id), event.shiftKey);
  }

  choose(id, isRange) {
    const ids = [...byId("engine-rows").rows].map((row) => Number(row.dataset.id));
    if (isRange && this.anchor !== undefined && ids.includes(this.anchor)) {
      const [from, to] = [ids.indexOf(this.anchor), ids.indexOf(id)].sort((a, b) => a - b);
      for (const each of ids.slice(from, to + 1)) this.chosen.add(each);
    } else {
      this.chosen.has(id) ? this.chosen.delete(id) : this.chosen.add(id);
      this.anchor = id;
    }
    this.go(id);
    this.onchosen(this.chosen);
    this.show();
  }

  go(id) {
    this.current = id;
    for (const [each, row] of this.rows) row.tabIndex = each === id ? 0 : -1;
    this.rows.get(id)?.focus();
  }

  key(event) {
    const rows = [...byId("engine-rows").rows];
    const here = rows.indexOf(event.target.closest("tr"));
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -rows.length, End: rows.length }[event.key];
    if (step !== undefined) {
      const there = rows[Math.min(rows.length - 1, Math.max(0, here + step))];
      this.go(Number(there.dataset.id));
    } else if (event.key === " " || event.key === "Enter") this.choose(Number(rows[here].dataset.id), event.shiftKey);
    else if (event.key === "a" && event.ctrlKey) {
      for (const row of rows) this.chosen.add(Number(row.dataset.id));
      this.onchosen(this.chosen);
      this.show();
    } else return;
    event.preventDefault();
  }
}

function blank(id) {
  const cells = COLUMNS.map((column) => make("td", column.number ? { class: "number" } : {}));
  cells[1].append(make("span", { class: "mark", "aria-hidden": "true" }), "");
  cells[1].append(document.createTextNode("–"));
  const row = make("tr", { "aria-selected": "false", tabindex: "-1" }, ...cells);
  row.dataset.id = id;
  return row;
}
