// The logs of the hub's host: their ends, and what is added while somebody looks.

import { byId, make, setText } from "./dom.js";

const MOST_LINES = 2000;
const MOST_SHOWN = 600;

export class Logs {
  constructor() {
    this.lines = [];
    this.writers = new Set();
    this.leftOut = 0;
    for (const id of ["log-level", "log-writer", "log-filter"]) byId(id).addEventListener("input", () => this.show());
  }

  begin() {
    this.lines = [];
    this.leftOut = 0;
  }

  take({ lines, left_out: leftOut, whole }) {
    if (whole) this.begin();
    this.lines = this.lines.concat(lines).slice(-MOST_LINES);
    this.leftOut += leftOut;
    for (const { who } of lines) {
      if (this.writers.has(who)) continue;
      this.writers.add(who);
      byId("log-writer").append(make("option", { value: who }, who));
    }
    if (lines.length || whole) this.show();
  }

  show() {
    const box = byId("log-lines");
    const [level, who, wanted] = [Number(byId("log-level").value), byId("log-writer").value, byId("log-filter").value.toLowerCase()];
    const hit = (line) => line.level >= level && (!who || line.who === who) && (!wanted || line.text.toLowerCase().includes(wanted));
    const found = this.lines.filter(hit).slice(-MOST_SHOWN);
    box.replaceChildren(...found.map((line) => make("div", { class: line.level >= 40 ? "l40" : line.level >= 30 ? "l30" : "" }, make("span", { class: "who" }, `${line.who} `), line.text)));
    box.hidden = found.length === 0;
    byId("log-empty").hidden = found.length > 0;
    setText(byId("log-note"), `${found.length} lines${this.leftOut ? `; ${this.leftOut} that came too fast are not shown` : ""}`);
    if (byId("log-follow").checked) box.scrollTop = box.scrollHeight;
  }
}
