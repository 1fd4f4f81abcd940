// The page: what is known of the world, and who shows it.

import { byId, make, setText, setClass, say } from "./dom.js";
import { Actions } from "./actions.js";
import { Engines } from "./engines.js";
import { Feed } from "./feed.js";
import { Logs } from "./logs.js";
import { Overview } from "./overview.js";
import { Plots } from "./plots.js";
import { tabs } from "./tabs.js";
import { Failures, Tasks } from "./tasks.js";

const world = { engines: new Map(), now: null, point: null };
const actions = new Actions(world);
const plots = new Plots();
const overview = new Overview();
const engines = new Engines((chosen) => actions.choose(chosen));
const tasks = new Tasks(actions);
const failures = new Failures();
const logs = new Logs();
const parts = [plots, tasks, failures];

function heard(said) {
  if (said.kind === "hello") hello(said);
  else if (said.kind === "whole" || said.kind === "figures") figures(said);
  else if (said.kind === "hub") hub(said);
  else if (said.kind === "logs") logs.take(said);
}

function hello({ profile, role, version }) {
  setText(byId("profile"), profile);
  byId("profile").title = `version ${version}`;
  setText(byId("role"), role);
  world.profile = profile;
  actions.allow(role);
}

function figures(said) {
  if (said.kind === "whole") {
    world.engines.clear();
    for (const part of parts) part.begin();
  }
  const ended = said.tasks.map(([id, engine, label, begun, end, status, error, kind]) => ({ id, engine, label, begun, ended: end, status, error, kind }));
  for (const engine of said.engines.changed) world.engines.set(engine.id, engine);
  for (const id of said.engines.gone) world.engines.delete(id);
  const { points } = said;
  world.point = points.at(-1) ?? world.point;
  if (said.time !== undefined) world.now = said;
  if (!world.now) return;
  state("live", "live");
  show(points, { ...said, tasks: ended });
}

function show(points = [], { tasks: ended = [], left_out = 0, failures: failed = [] } = {}) {
  const { now, engines: known } = world;
  overview.take(world);
  plots.take({ points, tasks: ended, left_out, engines: known, time: now.time });
  engines.take(known, now.time);
  tasks.take(ended, known, now.time);
  failures.take(failed, now.counters);
  trouble(now.trouble ?? []);
}

function hub({ is_here: isHere, why }) {
  if (!isHere) state("lost", `the hub does not answer: ${why}`);
}

// What stands in the bar, in the page's title, and is said to screen readers when it changes.
function state(kind, text) {
  setClass(byId("connection"), `state ${kind}`);
  setText(byId("connection-text"), text);
  document.body.classList.toggle("stale", kind === "lost");
  const { now, engines: known } = world;
  const figures = now && kind === "live" ? `${now.running} running, ${known.size} engines` : kind === "lost" ? "disconnected" : "…";
  const title = `${figures} – ${world.profile ?? ""} – ctrl-hub`;
  if (document.title !== title) document.title = title;
}

function trouble(lines) {
  const box = byId("trouble");
  setText(box, lines.join("\n"));
  box.hidden = lines.length === 0;
}

async function draw() {
  const answer = await fetch("dashboard/plots.json");
  if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `the plots cannot be had: ${answer.status}`);
  const described = await answer.json();
  await new Promise((done, failed) => {
    const script = make("script", { src: `dashboard/bokeh.js?v=${described.version}`, onload: done, onerror: () => failed(new Error("Bokeh's script cannot be had")) });
    document.head.append(script);
  });
  await plots.draw(described);
}

const open = tabs(document.querySelector("[role=tablist]"), (name) => {
  feed?.logs(name === "logs");
  if (world.now) show();
});
if (location.search.includes("token=")) history.replaceState(null, "", location.pathname + location.hash); // another server's, before ours: no secret stays in the bar
let feed = null;
feed = new Feed("dashboard/feed", heard, state);
open(location.hash.slice(2));
byId("plot-stream").addEventListener("dblclick", () => plots.goOn());
byId("stream-table").addEventListener("click", () => {
  open("tasks");
  byId("tab-tasks").focus();
});
document.addEventListener("visibilitychange", () => plots.show());
draw().catch((error) => say(error.message, true));
