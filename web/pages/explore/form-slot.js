// The place of one value in the form: its name, whether it is sent, its control, and the faults that
// the server finds there. A value that the control cannot hold is shown as JSON.

import { controlFor, jsonControl } from "./form-controls.js";
import { holds, initial, nodeOf } from "./form-model.js";

let created = 0;

export class Slot {
  #node;
  #onInput;
  #depth;
  #include = null; // the checkbox of an optional value
  #null = null; // the button of a nullable one
  #control = null;
  #asJson = false;
  #parts;

  /**
   * `place`: { name, required, depth, onRemove }; `onRemove()` for an item of a list. `onInput()`:
   * the value may have changed.
   */
  constructor(schema, root, place, onInput) {
    this.#node = nodeOf(schema, root);
    this.#onInput = onInput;
    this.#depth = place.depth ?? 0;
    this.name = place.name ?? "";
    this.element = document.createElement("div");
    this.#build(place);
  }

  get included() {
    return this.#include?.checked ?? true;
  }

  /** The value; undefined if it is not sent. Throws a FormFault if a text is not JSON. */
  read() {
    if (!this.included) return undefined;
    if (this.#null?.getAttribute("aria-pressed") === "true") return null;
    return this.#make().read();
  }

  /** Shows a value; undefined: it is not sent. */
  write(value) {
    if (this.#include) this.#include.checked = value !== undefined;
    this.#press(value === null && this.#node.nullable);
    if (value !== undefined && value !== null) {
      const json = !holds(this.#node, value);
      if (json !== this.#asJson) this.#replace(json);
      this.#make().write(value);
    } else if (value === null && !holds(this.#node, null)) {
      this.#replace(true);
      this.#make().write(null);
    }
    this.#show();
  }

  /** Shows a fault at the place that the steps lead to, as near as there is one. */
  showFault(steps, message) {
    const inner = steps.length && this.included ? this.#control?.at?.(steps[0]) : null;
    if (inner) return inner.showFault(steps.slice(1), message);
    const where = steps.length ? `${steps.join(" › ")}: ` : "";
    const { fault } = this.#parts;
    fault.textContent = [fault.textContent, where + message].filter(Boolean).join("\n");
    fault.hidden = false;
    this.#focusable()?.setAttribute("aria-invalid", "true");
    this.element.classList.add("faulty");
    return this;
  }

  clearFaults() {
    const { fault } = this.#parts;
    fault.hidden = true;
    fault.textContent = "";
    this.element.classList.remove("faulty");
    this.#focusable()?.removeAttribute("aria-invalid");
    for (const each of this.#control?.slots?.() ?? []) each.clearFaults();
  }

  focus() {
    (this.#focusable() ?? this.#include ?? this.#null)?.focus();
  }

  #focusable() {
    return this.element.querySelector("input:not([type=checkbox]), textarea, select");
  }

  #build({ required = true, onRemove }) {
    const id = `slot-${(created += 1)}`;
    const head = element("div", "slot-head");
    const name = element(this.#isGroup ? "span" : "label", "slot-name");
    const words = element("span", "slot-type", this.#node.words);
    const hint = element("p", "slot-hint", this.#node.description);
    const fault = element("p", "fault");
    name.id = `${id}-name`;
    name.textContent = this.name || this.#node.title || "event";
    if (!this.#isGroup) name.htmlFor = id;
    fault.id = `${id}-fault`;
    fault.hidden = true;
    hint.hidden = !this.#node.description;
    if (!required) head.append((this.#include = this.#checkbox()));
    head.append(name, words);
    if (required && this.#depth) head.append(element("span", "need required", "required"));
    if (this.#node.nullable) head.append((this.#null = this.#nullButton()));
    if (onRemove) head.append(this.#removeButton(onRemove));
    this.#parts = { id, head, hint, fault };
    this.element.className = this.#isGroup && this.#depth ? "slot group" : "slot";
    this.element.append(head, hint, fault);
    head.hidden = !this.#depth && this.#node.kind === "object";
    if (this.#isGroup) {
      this.element.setAttribute("role", "group");
      this.element.setAttribute("aria-labelledby", name.id);
    }
    this.#show();
  }

  get #isGroup() {
    return ["object", "array", "choice"].includes(this.#node.kind);
  }

  /** The control is made when it is first needed: a schema may contain itself. */
  #make() {
    if (this.#control) return this.#control;
    const context = {
      id: this.#parts.id,
      describedBy: this.#parts.fault.id,
      depth: this.#depth,
      Slot,
      onInput: () => this.#changed(),
    };
    const tooDeep = this.#depth > 12;
    this.#control = (this.#asJson || tooDeep ? jsonControl : controlFor)(this.#node, context);
    this.#control.element.classList.add("slot-control");
    this.#parts.head.after(this.#control.element);
    const begins = initial(this.#node);
    if (begins !== undefined && !this.#asJson) this.#control.write(begins);
    return this.#control;
  }

  #replace(json) {
    this.#asJson = json;
    this.#control?.element.remove();
    this.#control = null;
  }

  #show() {
    const isNull = this.#null?.getAttribute("aria-pressed") === "true";
    const isLarge = this.#isGroup || this.#node.kind === "json";
    const lazy = this.#include && isLarge && !this.included;
    if (!lazy && !isNull) this.#make();
    if (this.#control) this.#control.element.hidden = Boolean(lazy || isNull);
  }

  /** Somebody wrote into the control: then the value is sent. */
  #changed() {
    if (this.#include) this.#include.checked = true;
    this.#onInput();
  }

  #checkbox() {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", `Send ${this.name}`);
    box.title = "Whether this field is sent";
    box.addEventListener("change", () => {
      this.#show();
      this.#onInput();
    });
    return box;
  }

  #nullButton() {
    const button = smallButton("null", `${this.name || "The event"} is null`);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      this.#press(button.getAttribute("aria-pressed") !== "true");
      this.#show();
      this.#changed();
    });
    return button;
  }

  #removeButton(onRemove) {
    const button = smallButton("Remove", `Remove item ${this.name}`);
    button.addEventListener("click", onRemove);
    return button;
  }

  #press(pressed) {
    this.#null?.setAttribute("aria-pressed", String(pressed));
  }
}

function smallButton(text, label) {
  const button = element("button", "small", text);
  button.type = "button";
  button.setAttribute("aria-label", label);
  return button;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The form of a whole schema. */
export class SchemaForm {
  #root;
  #slot = null;
  #onInput;

  /** `root`: the element that holds the form. */
  constructor(root, onInput) {
    this.#root = root;
    this.#onInput = onInput;
  }

  show(schema) {
    this.#slot = new Slot(schema, schema, {}, this.#onInput);
    this.#root.replaceChildren(this.#slot.element);
  }

  /** undefined before a schema is shown. */
  read() {
    return this.#slot?.read();
  }

  write(value) {
    this.#slot.write(value);
  }

  /** Shows faults, [{ steps, message }], and returns the place of the first. */
  showFaults(faults) {
    this.#slot?.clearFaults();
    const places = faults.map(({ steps, message }) => this.#slot?.showFault(steps, message));
    return places[0] ?? null;
  }
}
