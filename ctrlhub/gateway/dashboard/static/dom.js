// Making and filling elements. Text is always text: nothing here, or anywhere in the page, makes HTML of a string.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Touch only what differs: what stays is neither laid out nor announced again.
export function setText(element, text) {
  const said = String(text);
  if (element.textContent !== said) element.textContent = said;
}

export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

export function count(number) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  const size = Math.abs(number);
  if (size >= 1e9) return `${(number / 1e9).toFixed(1)} G`;
  if (size >= 1e6) return `${(number / 1e6).toFixed(size < 1e7 ? 2 : 1)} M`;
  if (size >= 1e5) return `${(number / 1e3).toFixed(0)} k`;
  return Number.isInteger(number) ? number.toLocaleString("en") : number.toFixed(size < 10 ? 1 : 0);
}

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (number < 999.5) return `${unit === "B" || number >= 99.5 ? Math.round(number) : number.toFixed(1)} ${unit}`;
    number /= 1000;
  }
  return `${number.toFixed(1)} TB`;
}

export function seconds(number) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  if (number < 1e-3) return `${(number * 1e6).toFixed(0)} µs`;
  if (number < 1) return `${(number * 1e3).toFixed(number < 0.01 ? 1 : 0)} ms`;
  if (number < 60) return `${number.toFixed(1)} s`;
  if (number < 3600) return `${Math.floor(number / 60)} min ${Math.floor(number % 60)} s`;
  return `${Math.floor(number / 3600)} h ${Math.floor((number % 3600) / 60)} min`;
}

export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString("en-GB");

// Said to everybody for a while, to screen readers as well.
export function say(text, isBad = false) {
  const line = make("p", isBad ? { class: "bad" } : {}, text);
  byId("said").append(line);
  setTimeout(() => line.remove(), isBad ? 15000 : 6000);
}
