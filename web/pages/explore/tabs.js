// The tabs of the tools. On a narrow screen the events are one of them.

const NARROW = "(width <= 60rem)";

export class Tabs {
  #list;
  #root;
  #onChange;

  /** `list`: the tablist. `root`: its data-tab says which tab is shown. `onChange(name)`. */
  constructor(list, root, onChange) {
    this.#list = list;
    this.#root = root;
    this.#onChange = onChange;
    const narrow = matchMedia(NARROW);
    narrow.addEventListener("change", () => this.#fit(narrow.matches));
    list.addEventListener("click", ({ target }) => {
      const tab = target.closest("[role=tab]");
      if (tab) this.select(nameOf(tab));
    });
    list.addEventListener("keydown", (event) => this.#onKey(event));
    this.select(narrow.matches ? "live" : "publish");
  }

  get selected() {
    return this.#root.dataset.tab;
  }

  select(name) {
    this.#root.dataset.tab = name;
    for (const tab of this.#tabs) {
      const selected = nameOf(tab) === name;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      const panel = document.getElementById(`panel-${nameOf(tab)}`);
      if (panel) panel.hidden = !selected;
    }
    this.#onChange(name);
  }

  /** On a wide screen the events are always there. */
  #fit(narrow) {
    if (!narrow && this.selected === "live") this.select("publish");
  }

  #onKey(event) {
    const tabs = this.#tabs.filter((tab) => tab.offsetParent !== null);
    const at = tabs.findIndex((tab) => nameOf(tab) === this.selected);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = tabs.at(to % tabs.length);
    this.select(nameOf(tab));
    tab.focus();
  }

  get #tabs() {
    return [...this.#list.querySelectorAll("[role=tab]")];
  }
}

const nameOf = (tab) => tab.id.replace("tab-", "");
