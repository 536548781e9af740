// The controls of the form, one for each kind of value: { element, read(), write(value) }, and for
// those with parts at(step) and slots().

import { ONE_LINE, initial, nodeOf, optionFor } from "./form-model.js";
import { parse, stringify } from "./json.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** A text of the form that is not JSON. `control` is the element that has it. */
export class FormFault extends Error {
  constructor(message, control) {
    super(message);
    this.control = control;
  }
}

/** `context`: { id, describedBy, depth, Slot, onInput }. */
export function controlFor(node, context) {
  const make = {
    string: textControl,
    number: numberControl,
    integer: numberControl,
    boolean: (_, more) => selectControl([true, false], more),
    enum: ({ values }, more) => selectControl(values, more),
    const: ({ value }, more) => selectControl([value], more),
    null: (_, more) => selectControl([null], more),
    object: objectControl,
    array: arrayControl,
    choice: choiceControl,
    json: jsonControl,
  };
  return make[node.kind](node, context);
}

function textControl({ schema, inner }, context) {
  const { format } = inner ?? schema;
  const made = ONE_LINE.has(format) ? field("input", context) : field("textarea", context);
  if (format === "date") made.type = "date";
  if (format === "date-time") made.placeholder = "2026-11-22T20:06:00.123Z";
  if (format === "email") made.inputMode = "email";
  if (made.rows) made.rows = 1;
  return { element: made, read: () => made.value, write: (value) => (made.value = value) };
}

/** A text that is no number is sent as text: the server says what it expects. */
function numberControl(_, context) {
  const made = field("input", context);
  made.inputMode = "decimal";
  const read = () => {
    const text = made.value.trim();
    if (!text) return undefined;
    return NUMBER.test(text) && Number.isFinite(Number(text)) ? parse(text) : text;
  };
  return { element: made, read, write: (value) => (made.value = String(value)) };
}

function selectControl(values, context) {
  const made = field("select", context);
  const texts = values.map((value) => (typeof value === "string" ? value : stringify(value)));
  made.append(...texts.map((text, index) => new Option(text, String(index))));
  const indexOf = (value) => values.findIndex((each) => stringify(each) === stringify(value));
  return {
    element: made,
    read: () => values[made.selectedIndex],
    write: (value) => (made.selectedIndex = indexOf(value)),
  };
}

export function jsonControl(_, context) {
  const made = field("textarea", context);
  made.rows = 3;
  made.placeholder = "JSON";
  made.classList.add("json");
  const read = () => {
    if (!made.value.trim()) return undefined;
    try {
      return parse(made.value);
    } catch (error) {
      throw new FormFault(`This is not JSON: ${error.message}`, made);
    }
  };
  return { element: made, read, write: (value) => (made.value = stringify(value, 2)) };
}

const OTHERS = { type: "object", description: "Fields that the schema does not name, as JSON" };

function objectControl({ fields, open, root }, { depth, Slot, onInput }) {
  const made = box("slots");
  const slots = new Map();
  for (const { name, required, schema } of fields) {
    const slot = new Slot(schema, root, { name, required, depth: depth + 1 }, onInput);
    slots.set(name, slot);
    made.append(slot.element);
  }
  const place = { name: "other fields", required: false, depth: depth + 1 };
  const others = new Slot(OTHERS, OTHERS, place, onInput);
  others.element.hidden = !open;
  made.append(others.element);
  return {
    element: made,
    read: () => {
      const named = [...slots].map(([name, slot]) => [name, slot.read()]);
      const extra = Object.entries(others.read() ?? {});
      return Object.fromEntries([...named, ...extra].filter(([, value]) => value !== undefined));
    },
    write: (value) => {
      for (const [name, slot] of slots) slot.write(Object.hasOwn(value, name) ? value[name] : undefined);
      const extra = Object.entries(value).filter(([name]) => !slots.has(name));
      others.write(extra.length ? Object.fromEntries(extra) : undefined);
      others.element.hidden = !open && !extra.length;
    },
    at: (step) => slots.get(step) ?? (others.included ? others : null),
    slots: () => [...slots.values(), others],
  };
}

function arrayControl({ itemSchema, most, root }, { depth, Slot, onInput }) {
  const made = box("slots");
  const add = document.createElement("button");
  let slots = [];
  const remove = (slot) => {
    slots = slots.filter((each) => each !== slot);
    renumber();
    onInput();
    add.focus();
  };
  const append = () => {
    const place = { name: String(slots.length + 1), depth: depth + 1, onRemove: () => remove(slot) };
    const slot = new Slot(itemSchema(slots.length), root, place, onInput);
    slots.push(slot);
    return slot;
  };
  const renumber = () => {
    made.replaceChildren(...slots.map(({ element }) => element), add);
    add.hidden = slots.length >= most;
  };
  add.type = "button";
  add.className = "small";
  add.textContent = "Add item";
  add.addEventListener("click", () => {
    append().write(initial(nodeOf(itemSchema(slots.length - 1), root)));
    renumber();
    slots.at(-1).focus();
    onInput();
  });
  renumber();
  return {
    element: made,
    read: () => slots.map((slot) => slot.read() ?? null),
    write: (values) => {
      slots = [];
      for (const value of values) append().write(value);
      renumber();
    },
    at: (step) => slots[Number(step)] ?? null,
    slots: () => slots,
  };
}

function choiceControl(node, { id, describedBy, depth, Slot, onInput }) {
  const { options, root } = node;
  const made = box("slots");
  const select = field("select", { id, describedBy, onInput: () => choose(select.selectedIndex) });
  const holder = box("");
  let slot = null;
  const show = (index) => {
    slot = new Slot(options[index].schema, root, { depth: depth + 1, required: true }, onInput);
    slot.element.classList.add("option");
    select.selectedIndex = index;
    holder.replaceChildren(slot.element);
  };
  const choose = (index) => {
    show(index);
    onInput();
  };
  select.setAttribute("aria-label", "Which of these");
  select.append(...options.map(({ label }) => new Option(label)));
  made.append(select, holder);
  show(0);
  return {
    element: made,
    read: () => slot.read(),
    write: (value) => {
      const index = optionFor(node, value);
      if (index !== select.selectedIndex) show(Math.max(0, index));
      slot.write(value);
    },
    at: (step) => ({
      showFault: (steps, message) => slot.showFault([step, ...steps], message),
    }),
    slots: () => [slot],
  };
}

function field(tag, { id, describedBy, onInput }) {
  const made = document.createElement(tag);
  made.id = id;
  made.autocomplete = "off";
  made.spellcheck = false;
  made.setAttribute("aria-describedby", describedBy);
  made.addEventListener("input", onInput);
  return made;
}

function box(className) {
  const made = document.createElement("div");
  if (className) made.className = className;
  return made;
}
