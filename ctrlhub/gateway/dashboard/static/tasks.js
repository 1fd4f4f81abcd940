// What runs now and what has ended of late, as a table; and what has failed, with its traceback.

import { byId, make, setText, seconds, clock } from "./dom.js";
import { ended } from "./overview.js";

const MOST_ROWS = 300;
const MOST_FAILURES = 100;

export class Tasks {
  constructor(actions) {
    this.actions = actions;
    this.ended = [];
    for (const id of ["task-which", "task-filter"]) byId(id).addEventListener("input", () => this.show());
  }

  begin() {
    this.ended = [];
  }

  take(tasks, engines, now) {
    this.ended = this.ended.concat(tasks).filter((task) => task.ended > now - 60).slice(-3000);
    this.engines = engines;
    this.now = now;
    this.show();
  }

  show() {
    if (byId("tasks").hidden || !this.engines) return;
    const running = [...this.engines.values()].filter((each) => each.running).map((each) => ({ id: each.running, label: each.label, engine: each.id, status: "running", begun: each.since, ended: this.now, error: "" }));
    const wanted = byId("task-filter").value.trim().toLowerCase();
    const hit = (task) => !wanted || [task.id, task.label, task.engine, task.status, task.error].some((value) => String(value ?? "").toLowerCase().includes(wanted));
    const which = byId("task-which").value;
    const nowHit = which === "" || which === "running" ? running.filter(hit) : [];
    const endedHit = which === "running" ? [] : this.ended.toReversed().filter((task) => hit(task) && (which !== "failed" || task.status !== "ok"));
    const room = Math.max(MOST_ROWS / 2, MOST_ROWS - endedHit.length); // where very many run, half of the table is for what has ended
    const shown = [...nowHit.slice(0, room), ...endedHit].slice(0, MOST_ROWS);
    const body = byId("task-rows");
    while (body.rows.length > shown.length) body.deleteRow(-1);
    shown.forEach((task, place) => {
      const row = body.rows[place] ?? body.appendChild(make("tr", {}, ...["", "", "number", "", "", "number", "", ""].map((name) => make("td", name ? { class: name } : {}))));
      const took = task.begun ? seconds(Math.max(0, task.ended - task.begun)) : "–";
      [task.id, task.label || "–", task.engine, task.status, task.begun ? clock(task.begun) : "–", took, task.error || ""].forEach((value, column) => setText(row.cells[column], value));
      this.offer(row.cells[7], task);
      row.cells[3].className = task.status === "error" ? "fails" : "";
    });
    byId("task-empty").hidden = shown.length > 0;
    setText(byId("task-empty"), wanted || which ? "No task is like that." : "No task runs, and none has ended in the last minute.");
    const more = nowHit.length + endedHit.length - shown.length;
    setText(byId("task-count"), `${running.length} running, ${this.ended.length} ended lately${more > 0 ? `; ${shown.length} of ${shown.length + more} are shown` : ""}`);
  }

  // A button to cancel what runs, for who may whoever asked for it; it stays the same element, so that it keeps the focus.
  offer(cell, task) {
    if (!this.actions.may("admin") || task.status !== "running") {
      cell.replaceChildren();
      return;
    }
    const button = cell.firstChild ?? cell.appendChild(make("button", { type: "button", class: "small" }, "Cancel …"));
    button.dataset.id = task.id;
    button.ariaLabel = `Cancel ${task.label || task.id}`;
  }
}

export class Failures {
  begin() {
    byId("failure-list").replaceChildren();
  }

  take(failures, counters) {
    const list = byId("failure-list");
    for (const each of failures) list.prepend(failure(each));
    while (list.children.length > MOST_FAILURES) list.lastChild.remove();
    const number = Math.max(ended(counters ?? {}, "failed"), list.children.length); // another hub counts anew
    setText(byId("count-failures"), number);
    byId("count-failures").classList.toggle("bad", number > 0);
    byId("failure-empty").hidden = list.children.length > 0;
  }
}

function failure({ id, label, engine, ended, error, traceback }) {
  const said = error.split("\n", 1)[0];
  const summary = make("summary", {}, make("span", { class: "fails" }, said), make("span", { class: "quiet" }, ` — ${label || id}, ${engine < 0 ? "on no engine" : `engine ${engine}`}, ${clock(ended)}`));
  return make("li", {}, make("details", {}, summary, make("pre", { tabindex: "0" }, traceback || error)));
}
