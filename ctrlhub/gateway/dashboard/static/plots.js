// The plots: made by Bokeh in the gateway, empty; filled here.

import { byId, make, clock, count, seconds } from "./dom.js";

const SHOWN = 120; // seconds of the plots over time
const STREAM = 30; // seconds of what ran where
const MOST_BARS = 5000;
// Okabe and Ito's colours, which the colour-blind can tell apart; lighter where the page is dark.
const COLORS = {
  light: { card: "#ffffff", text: "#5a6270", grid: "#e9ebf0", blue: "#0072b2", orange: "#c98700", red: "#d55e00", green: "#009e73", ok: "#0072b2", error: "#d55e00", running: "#56b4e9", other: "#8a8f98" },
  dark: { card: "#1b1f27", text: "#a3acba", grid: "#2a303b", blue: "#4fb0ea", orange: "#f0b020", red: "#ff8a4a", green: "#2ec49a", ok: "#2f8fcb", error: "#ff7a33", running: "#a5daf8", other: "#8a8f98" },
};
const DASHES = { solid: "", dashed: "5 3", dotted: "1.5 2.5" };

// Bokeh keeps what it says of a bar in a shadow root, with a colour of its own for names: the page's, instead.
const TOLD = new CSSStyleSheet();
TOLD.replaceSync(".bk-tooltip-row-label { color: var(--quiet); }");
new MutationObserver((changes) => {
  for (const each of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
    if (each.classList?.contains("bk-Tooltip") && !each.shadowRoot.adoptedStyleSheets.includes(TOLD)) each.shadowRoot.adoptedStyleSheets.push(TOLD);
  }
}).observe(document.body, { childList: true });

const local = (unix) => (unix - new Date(unix * 1000).getTimezoneOffset() * 60) * 1000; // Bokeh's axes know no zones

export class Plots {
  constructor() {
    this.plots = {};
    this.sources = {};
    this.points = [];
    this.tasks = [];
    this.leftOut = []; // [time, how many]
    document.addEventListener("themed", () => this.theme());
    byId("zoom-in").addEventListener("click", () => this.zoom(0.5));
    byId("zoom-out").addEventListener("click", () => this.zoom(2));
    byId("zoom-end").addEventListener("click", () => this.goOn());
  }

  async draw(described) {
    this.legends = described.legends;
    for (const [name, item] of Object.entries(described.plots)) {
      await Bokeh.embed.embed_item(item, `plot-${name}`);
      const drawn = Bokeh.documents.at(-1);
      this.plots[name] = drawn.get_model_by_name(name);
      this.sources[name] = drawn.get_model_by_name(`${name}-data`);
      for (const each of within(byId(`plot-${name}`))) if (each.tabIndex === 0) each.tabIndex = -1; // a stop without a name, where no key does anything
    }
    byId("legend-stream").replaceChildren(...Object.entries({ ok: "done", error: "failed", running: "running", other: "aborted" }).map(([status, name]) => make("li", {}, make("span", { class: `key s-${status}` }), name)));
    this.theme();
  }

  theme() {
    const colors = (this.colors = COLORS[document.documentElement.dataset.theme]);
    const { text, grid } = colors;
    for (const [name, lines] of Object.entries(this.legends ?? {})) {
      byId(`legend-${name}`).replaceChildren(...lines.map((line) => legend(line, colors[line.color])));
      for (const line of lines) {
        const drawn = this.plots[name].renderers.find((each) => each.name === line.field);
        drawn.glyph.line_color = colors[line.color];
      }
    }
    for (const plot of Object.values(this.plots)) {
      plot.background_fill_color = plot.border_fill_color = colors.card;
      for (const axis of [...plot.below, ...plot.left]) axis.major_label_text_color = text;
      for (const each of plot.center) if (each.constructor.__name__ === "Grid" && each.dimension === 1) each.grid_line_color = plot.name === "stream" ? null : grid;
    }
    this.show();
  }

  begin() {
    this.points = [];
    this.tasks = [];
    this.leftOut = [];
  }

  take({ points, tasks, left_out: leftOut, engines, time }) {
    this.now = time ?? this.now;
    this.points = this.points.concat(points).slice(-SHOWN * 2);
    this.tasks = this.tasks.concat(tasks).filter((task) => task.ended > this.now - 2 * STREAM).slice(-MOST_BARS);
    this.leftOut = this.leftOut.filter(([when]) => when > this.now - STREAM);
    if (leftOut) this.leftOut.push([this.now, leftOut]);
    this.engines = engines;
    this.show();
  }

  show() {
    if (!this.now || !this.plots.stream || document.hidden || byId("overview").hidden) return;
    document.body.classList.remove("unfilled");
    const points = this.points.filter((point) => point.time > this.now - SHOWN);
    this.over("throughput", points, ["submitted", "done", "failed"], (value) => `${count(value)}/s`);
    this.over("latency", points, ["p50", "p95", "p99"], seconds);
    this.over("queue", points, ["queued", "running"], count);
    this.stream();
    this.tell(points.at(-1));
  }

  over(name, points, fields, text) {
    const data = { time: points.map((point) => local(point.time)), clock: points.map((point) => clock(point.time)) };
    for (const field of fields) {
      data[field] = points.map((point) => point[field] ?? NaN);
      data[`${field}_text`] = points.map((point) => text(point[field]));
    }
    this.sources[name].data = data;
    this.plots[name].x_range.setv({ start: local(this.now - SHOWN), end: local(this.now) });
    const values = fields.flatMap((field) => data[field]).filter((value) => value > 0);
    this.plots[name].y_range.setv(name === "latency" ? decades(values) : { start: 0, end: round(Math.max(1, ...values)) });
  }

  stream() {
    const tasks = this.tasks.filter((task) => task.ended > this.now - STREAM);
    const data = { engine: [], left: [], right: [], color: [], what: [], where: [], took: [], how: [], error: [], begun: [] };
    const bar = (engine, begun, ended, color, what, how, error) => {
      data.engine.push(engine);
      data.left.push(local(begun));
      data.right.push(local(ended));
      data.color.push(color);
      data.what.push(cut(what, 60));
      data.where.push(String(engine));
      data.took.push(seconds(ended - begun));
      data.how.push(how);
      data.error.push(cut(error || "–", 110));
      data.begun.push(clock(begun));
    };
    for (const engine of this.engines.values()) if (engine.running && engine.since) bar(engine.id, engine.since, Math.max(this.now, engine.since), this.colors.running, engine.label || engine.running, "running", "");
    for (const task of tasks) bar(task.engine, task.begun, task.ended, this.colors[task.status] ?? this.colors.other, task.label || task.id, task.kind === "command" ? `${task.status}, a command` : task.status, task.error);
    this.sources.stream.data = data;
    const ids = [...this.engines.keys()];
    const plot = this.plots.stream;
    if (!this.zoomed()) {
      this.x = [local(this.now - STREAM), local(this.now)];
      this.y = [(ids.length ? Math.max(...ids) : 3) + 0.5, -0.5];
      plot.x_range.setv({ start: this.x[0], end: this.x[1] });
      plot.y_range.setv({ start: this.y[0], end: this.y[1] });
    }
    const hidden = this.leftOut.reduce((sum, [, number]) => sum + number, 0);
    const note = `${count(tasks.length)} ended in the last ${STREAM} s${hidden ? `; ${count(hidden)} more are not drawn` : ""}`;
    byId("stream-note").textContent = `${note}. ${this.zoomed() ? "Stands still: a double click, or “Go on”, lets it go on." : "Point at a bar for more; wheel, drag and buttons look closer."}`;
  }

  // Whoever has zoomed or dragged keeps what he looks at.
  zoomed() {
    const plot = this.plots.stream;
    return this.x !== undefined && (Math.abs(plot.x_range.start - this.x[0]) > 1 || Math.abs(plot.x_range.end - this.x[1]) > 1);
  }

  // Twice as close, or from twice as far; what is newest stays at its side.
  zoom(factor) {
    const range = this.plots.stream?.x_range;
    range?.setv({ start: range.end - (range.end - range.start) * factor, end: range.end });
    this.show();
  }

  goOn() {
    this.x = undefined;
    this.show();
  }

  // In words, for who does not see plots.
  tell(point) {
    if (!point) return;
    byId("plot-throughput").ariaLabel = `Tasks per second: ${count(point.submitted)} submitted, ${count(point.done)} done, ${count(point.failed)} failed`;
    byId("plot-latency").ariaLabel = `From submission to result: half within ${seconds(point.p50)}, 95 percent within ${seconds(point.p95)}, 99 percent within ${seconds(point.p99)}`;
    byId("plot-queue").ariaLabel = `${count(point.queued)} tasks waiting, ${count(point.running)} running`;
    byId("plot-stream").ariaLabel = `What ran where: ${byId("stream-note").textContent} The tab Tasks has them as a table.`;
  }
}

// What is inside of an element, also in the shadow roots that Bokeh makes.
function* within(element) {
  for (const each of [...(element.shadowRoot?.children ?? []), ...element.children]) {
    yield each;
    yield* within(each);
  }
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most)} …` : text);

// Ends of axes that seldom change: a plot whose scale trembles cannot be read.
function round(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return size * [1.05, 1.55, 2.1, 3.1, 4.2, 5.3, 7.5, 10.5].find((each) => each * size > value);
}

function decades(values) {
  if (!values.length) return { start: 1e-3, end: 1 };
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)) + 0.02);
  return { start: 10 ** low * 0.9, end: 10 ** Math.max(high, low + 1) * 1.1 };
}

function legend({ label, dash }, color) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  for (const [name, value] of Object.entries({ x1: 0, x2: 22, y1: 4, y2: 4, stroke: color, "stroke-width": 2.5, "stroke-dasharray": DASHES[dash] ?? "" })) line.setAttribute(name, value);
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  return make("li", {}, svg, label);
}
