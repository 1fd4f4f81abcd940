// The parts of the page, one at a time; arrow keys go from tab to tab.

export function tabs(list, shown) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    for (const each of all) {
      each.ariaSelected = String(each === tab);
      each.tabIndex = each === tab ? 0 : -1;
      document.getElementById(each.getAttribute("aria-controls")).hidden = each !== tab;
    }
    // No element has such an id: the browser would let the keyboard begin there.
    history.replaceState(null, "", `#/${tab.getAttribute("aria-controls")}`);
    shown(tab.getAttribute("aria-controls"));
  };
  for (const tab of all) tab.addEventListener("click", () => choose(tab));
  list.addEventListener("keydown", (event) => {
    const here = all.indexOf(document.activeElement);
    const there = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (there === undefined) return;
    const tab = all[(there + all.length) % all.length];
    choose(tab);
    tab.focus();
    event.preventDefault();
  });
  return (name) => choose(all.find((tab) => tab.getAttribute("aria-controls") === name) ?? all[0]);
}
