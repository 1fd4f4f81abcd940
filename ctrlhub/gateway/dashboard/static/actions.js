// What who looks may do by his role, asked for again before it is done. The server refuses all else in any case.

import { byId, make, say } from "./dom.js";

const CSRF_HEADER = "X-Ctrlhub-Csrf";
const LONGEST = 2500; // characters by which engines are named in one request: about 600 of them; the server takes 6000
const RANKS = ["view", "submit", "admin"]; // each may what those before it may

const ON_ENGINES = [
  { name: "interrupt", role: "submit", title: "Interrupt", ask: "What runs there gets a KeyboardInterrupt, whoever asked for it.", done: "interrupted" },
  { name: "restart", role: "admin", title: "Restart", ask: "Fresh processes take their places; their namespaces are lost, and their tasks run elsewhere.", done: "restarting" },
  { name: "drain", role: "admin", title: "Drain", ask: "They finish what runs, take nothing new, and leave.", done: "draining" },
];

export class Actions {
  constructor(world) {
    this.world = world;
    this.chosen = new Set();
    this.role = "";
    const bar = byId("engine-actions");
    this.roles = new Map(); // of each button, who may press it
    const button = (role, title, onclick) => {
      const made = make("button", { type: "button", onclick }, `${title} …`);
      this.roles.set(made, role);
      return made;
    };
    this.onChosen = ON_ENGINES.map((action) => button(action.role, action.title, () => this.onEngines(action)));
    this.onChosen.push(button("admin", "Cancel what runs", () => this.cancelWhatRuns()));
    bar.append(...this.onChosen, button("admin", "Scale", () => this.scale()));
    byId("task-actions").append(button("submit", "Cancel a task", () => this.cancelById()));
    byId("task-rows").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.cancel([button.dataset.id]);
    });
    byId("confirm-no").addEventListener("click", () => byId("confirm").close("no"));
    this.show();
  }

  may(role) {
    return RANKS.indexOf(this.role) >= RANKS.indexOf(role);
  }

  allow(role) {
    this.role = role;
    byId("engine-actions").hidden = byId("task-actions").hidden = !this.may("submit");
    for (const [button, needed] of this.roles) button.hidden = !this.may(needed);
    this.show();
  }

  choose(chosen) {
    this.chosen = chosen;
    this.show();
  }

  show() {
    for (const button of this.onChosen) button.disabled = this.chosen.size === 0;
  }

  // ------------------------------------------------------------ what can be done

  async onEngines({ name, title, ask: text, done }) {
    const ids = [...this.chosen].sort((a, b) => a - b);
    if (await ask({ title: `${title} ${engines(ids)}?`, text, yes: title }) === null) return;
    for (const some of parts(ids)) {
      if (await this.send(`api/v1/engines/${some.join(",")}/${name}`, undefined, `${engines(some)}: ${done}`) === null) return;
    }
  }

  async cancelWhatRuns() {
    const ids = [...this.chosen].map((id) => this.world.engines.get(id)?.running).filter(Boolean);
    if (ids.length) await this.cancel(ids);
    else say("nothing runs on the engines that are chosen");
  }

  async cancelById() {
    const id = await ask({ title: "Cancel a task", text: "An id looks like 1349224-12: it is in the table, and in what submitted it.", yes: "Cancel it", field: { label: "Id", type: "text" } });
    if (!id) return;
    if (/^\d+-\d+$/.test(id.trim())) await this.cancel([id.trim()], true);
    else say(`“${id.trim()}” is no id: an id looks like 1349224-12`, true);
  }

  async cancel(ids, isSure = false) {
    const text = `${ids.length === 1 ? "It is" : "They are"} taken back where not begun, and interrupted where running.`;
    if (!isSure && await ask({ title: ids.length === 1 ? `Cancel task ${ids[0]}?` : `Cancel ${ids.length} tasks?`, text, yes: "Cancel" }) === null) return;
    const became = await this.send("api/v1/tasks/cancel", { ids });
    if (became) say(Object.entries(became).filter(([, which]) => which.length).map(([what, which]) => `${which.length <= 8 ? which.join(", ") : `${which.length} tasks`}: ${what}`).join("; "));
  }

  async scale() {
    const counts = new Map();
    for (const { set } of this.world.engines.values()) counts.set(set, (counts.get(set) ?? 0) + 1);
    const names = [...counts.keys()].filter(Boolean).sort();
    if (!names.length) names.push("local");
    const said = names.map((name) => `${name}: ${counts.get(name) ?? 0}`).join(", ");
    let name = names[0];
    if (names.length > 1) name = await ask({ title: "Scale which set?", text: `There are ${said}.`, yes: "Go on", field: { label: "Set", choices: names } });
    if (!name) return;
    const count = await ask({ title: `Scale ${name}`, text: `It has ${counts.get(name) ?? 0} engines. Those that go finish what they run.`, yes: "Scale", field: { label: "Engines", type: "number", value: counts.get(name) ?? 0 } });
    if (count === null || count === "") return;
    await this.send(`api/v1/sets/${encodeURIComponent(name)}/scale`, { engines: Number(count) }, `${name} is on its way to ${count} engines`);
  }

  // ------------------------------------------------------------ asking the server

  async send(path, body, done) {
    try {
      const session = await answer(await fetch("api/v1/session", { cache: "no-store" }));
      const headers = { [CSRF_HEADER]: session.csrf, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
      const got = await answer(await fetch(path, { method: "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) }));
      if (done) say(done);
      return got;
    } catch (error) {
      say(`it was not done: ${error.message}`, true);
      return null;
    }
  }
}

// Of very many engines so many at once as the path of a request has room for.
function parts(ids) {
  const made = [[]];
  for (const id of ids) {
    if (made.at(-1).join(",").length > LONGEST) made.push([]);
    made.at(-1).push(id);
  }
  return made;
}

async function answer(response) {
  const text = await response.text();
  const said = response.headers.get("Content-Type")?.startsWith("application/json") ? JSON.parse(text) : null;
  if (!response.ok) throw new Error(said?.error?.message ?? `the server says ${response.status}`);
  return said;
}

const engines = (ids) => (ids.length === 1 ? `engine ${ids[0]}` : ids.length <= 8 ? `engines ${ids.join(", ")}` : `${ids.length} engines`);

// Ask before it is done: what was typed, "" for a mere yes, null for no.
function ask({ title, text, yes, field }) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  const place = byId("confirm-field");
  place.hidden = !field;
  let input = null;
  if (field) {
    input = field.choices ? make("select", {}, ...field.choices.map((each) => make("option", { value: each }, each))) : make("input", { type: field.type, autocomplete: "off", ...(field.type === "number" ? { min: 0, max: 100000, step: 1 } : {}) });
    if (field.value !== undefined) input.value = field.value;
    place.replaceChildren(make("label", {}, `${field.label} `, input));
  }
  dialog.returnValue = "no";
  dialog.showModal();
  if (input) input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? (input?.value ?? "") : null), { once: true });
  });
}
