// Figures of this moment, the engines at a glance, and whose tasks wait.

import { byId, make, setText, setClass, count, bytes, seconds } from "./dom.js";

const TILES = [
  ["rate", "Tasks/s", ({ point }) => count(point?.done)],
  ["running", "Running", ({ now }) => count(now.running)],
  ["queued", "Waiting", ({ now }) => count(now.queued)],
  ["latency", "Median time", ({ point }) => seconds(point?.p50)],
  ["done", "Done", ({ now }) => count(ended(now.counters, "done")), ({ now }) => commands(now.counters, "done")],
  ["failed", "Failed", ({ now }) => count(ended(now.counters, "failed")), ({ now }) => commands(now.counters, "failed")],
  ["engines", "Engines busy", ({ engines }) => `${[...engines.values()].filter((each) => each.running || each.state === "busy").length} / ${engines.size}`],
  ["cpu", "CPU (cores)", ({ engines }) => sum(engines, "cpu", (value) => value.toFixed(1))],
  ["memory", "Memory", ({ engines }) => sum(engines, "rss", bytes)],
  ["store", "Store", ({ now }) => (now.store.kind === "memory" ? "memory" : bytes(now.store.bytes))],
];

// Tasks and commands: what direct views run are no tasks, and are among the failures too.
export const ended = (counters, how) => (counters[`tasks_${how}`] ?? 0) + (counters[`commands_${how}`] ?? 0);

function commands(counters, how) {
  const number = counters[`commands_${how}`] ?? 0;
  return number ? ` (${count(number)} command${number === 1 ? "" : "s"})` : "";
}

function sum(engines, field, text) {
  const known = [...engines.values()].map((each) => each[field]).filter((value) => value !== null && value !== undefined);
  return known.length ? text(known.reduce((total, value) => total + value, 0)) : "–";
}

export const kindOf = (engine) => (["busy", "idle", "suspect", "draining"].includes(engine.state) ? engine.state : "away");

export class Overview {
  constructor() {
    this.tiles = new Map();
    for (const [name, title] of TILES) {
      const tile = { term: make("dt", {}, title), value: make("dd", {}, "–") };
      this.tiles.set(name, tile);
      byId("tiles").append(make("div", { id: `tile-${name}` }, tile.term, tile.value));
    }
    this.cells = new Map();
    new ResizeObserver(() => this.arrange(this.cells.size)).observe(byId("grid"));
  }

  take(world) {
    for (const [name, title, text, which] of TILES) {
      const { term, value } = this.tiles.get(name);
      setText(value, text(world));
      if (which) setText(term, title + which(world));
    }
    byId("tile-failed").classList.toggle("bad", ended(world.now.counters, "failed") > 0);
    for (const how of ["done", "failed"]) byId(`tile-${how}`).title = `${count(world.now.counters[`tasks_${how}`])} tasks and ${count(world.now.counters[`commands_${how}`] ?? 0)} commands of direct views`;
    byId("tile-memory").title = "What each engine has in memory, summed up: what engines share is counted for each of them";
    byId("tile-store").title = `${world.now.store.kind}: ${count(world.now.store.requests)} requests kept`;
    this.grid(world.engines);
    this.waiting(world.now.queues);
  }

  grid(engines) {
    const grid = byId("grid");
    const counts = { idle: 0, busy: 0, suspect: 0, draining: 0, away: 0 };
    for (const [id, cell] of this.cells) if (!engines.has(id)) { cell.remove(); this.cells.delete(id); }
    const ids = [...engines.keys()].sort((a, b) => a - b);
    if (ids.length !== this.arranged) this.arrange(ids.length);
    ids.forEach((id, place) => {
      const engine = engines.get(id);
      const kind = kindOf(engine);
      counts[kind] += 1;
      let cell = this.cells.get(id);
      if (!cell) this.cells.set(id, (cell = make("div", {})));
      if (grid.children[place] !== cell) grid.insertBefore(cell, grid.children[place] ?? null);
      setClass(cell, `cell s-${kind}`);
      const title = `engine ${id} on ${engine.host}: ${engine.state}${engine.label ? `, ${engine.label}` : ""}`;
      if (cell.title !== title) cell.title = title;
    });
    byId("grid-empty").hidden = ids.length > 0;
    grid.hidden = ids.length === 0;
    const legend = byId("legend-grid");
    const kinds = Object.entries(counts).filter(([kind, number]) => number || kind === "idle" || kind === "busy");
    const said = kinds.map(([kind, number]) => `${number} ${kind}`).join();
    if (legend.dataset.said !== said) {
      legend.dataset.said = said;
      legend.replaceChildren(...kinds.map(([kind, number]) => make("li", {}, make("span", { class: `key s-${kind}` }), `${number} ${kind}`)));
    }
  }

  // As many columns as give the largest square cells in a box that keeps its size.
  arrange(number) {
    this.arranged = number;
    const grid = byId("grid");
    const [width, height] = [grid.clientWidth || 400, 104];
    let size = 24;
    const columns = () => Math.max(1, Math.floor((width + 2) / (size + 2)));
    while (size > 4 && columns() * Math.floor((height + 2) / (size + 2)) < number) size -= 1;
    grid.style.gridTemplateColumns = `repeat(${columns()}, ${size}px)`;
    grid.style.gridAutoRows = `${size}px`;
  }

  waiting(queues) {
    const body = byId("queues");
    const sorted = [...queues].filter((each) => each.queued).sort((a, b) => b.queued - a.queued).slice(0, 200);
    byId("queues-empty").hidden = sorted.length > 0;
    const most = Math.max(1, ...sorted.map((each) => each.queued));
    const sessions = new Map(); // of one process there may be several clients
    for (const { client, session } of sorted) sessions.set(client, (sessions.get(client) ?? new Set()).add(session));
    while (body.rows.length > sorted.length) body.deleteRow(-1);
    sorted.forEach((each, place) => {
      const row = body.rows[place] ?? body.appendChild(make("tr", {}, make("td"), make("td"), make("td", { class: "number" })));
      setText(row.cells[0], !each.client ? `session ${each.session}` : sessions.get(each.client).size > 1 ? `${each.client}, session ${each.session}` : each.client);
      row.cells[0].title = `session ${each.session}`;
      setText(row.cells[1], each.priority);
      setText(row.cells[2], count(each.queued));
      const share = Math.round((100 * each.queued) / most);
      row.cells[2].style.backgroundImage = `linear-gradient(to left, color-mix(in srgb, var(--busy) 28%, transparent) ${share}%, transparent ${share}%)`;
    });
  }
}
