// The stream of figures: one message a second, and again from the beginning after each break.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 5000;
const SILENCE = 10000; // the gateway says something each second, and every four when the hub does not answer

export class Feed {
  constructor(path, heard, changed) {
    this.path = path;
    this.heard = heard;
    this.changed = changed;
    this.wait = FIRST_WAIT;
    this.wantsLogs = false;
    this.open();
  }

  open() {
    const address = new URL(this.path, document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address);
    this.watch();
    this.socket.addEventListener("open", () => {
      if (this.wantsLogs) this.logs(true);
    });
    this.socket.addEventListener("message", (event) => {
      this.wait = FIRST_WAIT;
      this.watch();
      this.heard(JSON.parse(event.data));
    });
    this.socket.addEventListener("close", (event) => this.lost(event.reason));
  }

  watch() {
    clearTimeout(this.watching);
    this.watching = setTimeout(() => this.socket.close(), SILENCE);
  }

  async lost(reason) {
    clearTimeout(this.watching);
    this.changed("lost", reason || "the gateway does not answer; trying again");
    const verdict = await this.ask();
    if (verdict) this.changed("lost", verdict);
    setTimeout(() => this.open(), this.wait);
    this.wait = Math.min(this.wait * 1.6, LONGEST_WAIT);
  }

  // A WebSocket does not say why it was refused; a request does.
  async ask() {
    try {
      const answer = await fetch("dashboard/plots.json", { method: "HEAD", cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) return "your token is not accepted any more: open the page again with ctrl-hub dashboard";
      return "";
    } catch {
      return ""; // nobody is there: what was said already
    }
  }

  logs(wanted) {
    this.wantsLogs = wanted;
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ logs: wanted }));
  }
}
