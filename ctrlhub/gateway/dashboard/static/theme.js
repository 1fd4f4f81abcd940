// The colours: those of the system, unless the reader has chosen. Before the page is drawn, so that it does not flash.
(() => {
  "use strict";
  const KEY = "ctrl-hub-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // an iframe may be kept from storage: the system's colours, then
    }
  };
  const store = (value) => {
    try {
      localStorage.setItem(KEY, value);
    } catch {
      // as above: the choice holds for this page alone
    }
  };
  const isDark = () => (chosen ?? (system.matches ? "dark" : "light")) === "dark";
  const apply = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    const button = document.getElementById("theme");
    button?.setAttribute("aria-pressed", String(isDark()));
    document.dispatchEvent(new Event("themed"));
  };
  chosen = ["dark", "light"].includes(stored()) ? stored() : null;
  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      chosen = isDark() ? "light" : "dark";
      store(chosen);
      apply();
    });
    apply();
  });
})();
