// The tool that publishes: a form made from the channel type's schema, or JSON, and options.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { byId } from "../common/dom.js";
import { samplePayloads } from "../common/samples.js";
import { FormFault } from "./form-controls.js";
import { initial, nodeOf } from "./form-model.js";
import { SchemaForm } from "./form-slot.js";
import { parse, stringify } from "./json.js";
import { AttemptKey, send } from "./sending.js";
import { readType } from "./types.js";

const ATTRIBUTES = ["source", "subject", "type", "id", "time"];
const ANYTHING = { publish: ["producer"], signals: [], schemas: { accepted: {} } };

export class PublishPanel {
  #live;
  #onRequest;
  #form;
  #types = [];
  #type = null;
  #mode = "form";
  #attempt;
  #sending = false;

  /** `live`: the page's connection. `onRequest(request)`: what would be sent; null: no event. */
  constructor(live, onRequest) {
    this.#live = live;
    this.#onRequest = onRequest;
    this.#attempt = new AttemptKey(() => live.hub.newKey());
    this.#form = new SchemaForm(byId("form"), () => this.#changed());
    byId("publish").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#publish();
    });
    byId("publish").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("publish").requestSubmit();
    });
    byId("publish").addEventListener("input", () => this.#changed());
    byId("as-form").addEventListener("click", () => this.#switch("form"));
    byId("as-json").addEventListener("click", () => this.#switch("json"));
    byId("signal").addEventListener("change", () => this.#showSchema(this.#value()));
    byId("to").addEventListener("change", () => this.#load());
  }

  /** Publishes to this channel, or one that fits the pattern. Resolves with its type, or null. */
  async show(channel, types) {
    this.#types = types;
    const known = types.some(({ name }) => name === channel.split(".")[0]);
    const fitting = channel.replace(/\*/g, "example").replace(/>$/, "example");
    byId("to").value = known || fitting === channel ? fitting : "";
    await this.#load();
    return this.#type;
  }

  /** Reads the type of the channel, and begins with an event that fits it. */
  async #load() {
    const [name] = byId("to").value.split(".");
    const known = this.#types.find((each) => each.name === name);
    if (known && this.#type?.name === name) return this.#changed();
    const type = known ? await readType(name).catch(() => null) : null;
    if (byId("to").value.split(".")[0] !== name) return undefined; // it was changed meanwhile
    this.#type = type;
    byId("signal-option").hidden = !type?.signals.length;
    byId("signal").checked = false;
    this.#showSchema(this.#sample());
    return undefined;
  }

  #sample() {
    const [sample] = samplePayloads(this.#type?.payload);
    const schema = this.#schema;
    if (Object.keys(sample).length) return sample;
    return schema.examples?.[0] ?? initial(nodeOf(schema)) ?? {};
  }

  get #description() {
    return this.#type ?? ANYTHING;
  }

  get #schema() {
    const { accepted, signal } = this.#description.schemas;
    return byId("signal").checked ? (signal ?? accepted) : accepted;
  }

  #showSchema(value) {
    this.#form.show(this.#schema);
    this.#form.write(value);
    byId("send").disabled = false;
    byId("body").value = stringify(value ?? null, 2);
    const hasForm = nodeOf(this.#schema).kind !== "json";
    byId("editors").hidden = !hasForm;
    this.#showMode(hasForm ? this.#mode : "json");
    this.#changed();
  }

  /** Shows the same value in the other editor. A text that is not JSON stays where it is. */
  #switch(mode) {
    try {
      if (mode === "json") byId("body").value = stringify(this.#form.read() ?? null, 2);
      else this.#form.write(this.#parsed());
    } catch (error) {
      return this.#showFormFault(error);
    }
    this.#showFaults([]);
    this.#mode = mode;
    return this.#showMode(mode);
  }

  #showMode(mode) {
    byId("form").hidden = mode !== "form";
    byId("json").hidden = mode !== "json";
    byId("as-form").setAttribute("aria-pressed", String(mode === "form"));
    byId("as-json").setAttribute("aria-pressed", String(mode === "json"));
    this.#changed();
  }

  get #isForm() {
    return !byId("form").hidden;
  }

  #parsed() {
    try {
      return parse(byId("body").value);
    } catch (error) {
      throw new FormFault(`This is not JSON: ${error.message}`, byId("body"));
    }
  }

  /** What is written, as far as it can be read. */
  #value() {
    try {
      return this.#isForm ? this.#form.read() : this.#parsed();
    } catch {
      return undefined;
    }
  }

  /** What would be sent. Throws a FormFault. */
  #request() {
    const value = (this.#isForm ? this.#form.read() : this.#parsed()) ?? null;
    const signal = byId("signal").checked;
    const attributes = ATTRIBUTES.map((name) => [name, byId(`ce-${name}`).value.trim()]);
    return {
      channel: byId("to").value.trim(),
      value,
      many: !this.#isForm && Array.isArray(value) && !signal && byId("many").checked,
      key: byId("key").value.trim(),
      attributes: Object.fromEntries(attributes.filter(([, text]) => text)),
      signal,
      accepts: signal ? this.#description.signals : this.#description.publish,
    };
  }

  #changed() {
    let request = null;
    try {
      request = this.#request();
    } catch (error) {
      if (!(error instanceof FormFault)) throw error;
    }
    const isList = !this.#isForm && Array.isArray(request?.value);
    byId("many-option").hidden = !isList || byId("signal").checked;
    this.#onRequest(request?.channel ? request : null);
  }

  async #publish() {
    if (this.#sending || byId("send").disabled) return; // disabled: its type is not known yet
    this.#showFaults([]);
    let request;
    try {
      request = this.#request();
    } catch (error) {
      return void this.#showFormFault(error);
    }
    this.#setSending(true);
    const text = stringify(request);
    const key = request.key || this.#attempt.for(text);
    const result = await send({ ...request, key }, this.#live);
    if (result.certain) this.#attempt.settle();
    this.#setSending(false);
    this.#showResult(result);
  }

  #setSending(sending) {
    this.#sending = sending;
    byId("send").textContent = sending ? "Publishing…" : "Publish";
    byId("publish").setAttribute("aria-busy", String(sending));
  }

  #showResult({ good, title, text, faults, error }) {
    byId("answer").className = good ? "good" : "bad";
    byId("answer").textContent = `${title}\n${text}`.trim();
    byId("answer").hidden = false;
    if (error?.code === "unknown_channel" || error?.code === "invalid_channel") {
      this.#showToFault(error.message);
    }
    this.#showFaults(faults);
    if (TOKEN_ERRORS.has(error?.code)) this.#live.ask(error);
  }

  /** Shows faults in the form, and goes to the first. */
  #showFaults(faults) {
    if (!faults.length) this.#showToFault("");
    byId("body").setAttribute("aria-invalid", String(faults.length > 0));
    const first = this.#form.showFaults(faults);
    byId("body-fault").hidden = true;
    if (first && this.#isForm) first.focus();
  }

  #showFormFault(error) {
    if (!(error instanceof FormFault)) throw error;
    const { control, message } = error;
    const fault = byId(control.getAttribute("aria-describedby"));
    fault.textContent = message;
    fault.hidden = false;
    control.setAttribute("aria-invalid", "true");
    control.focus();
  }

  #showToFault(text) {
    byId("to-fault").hidden = !text;
    byId("to-fault").textContent = text;
    byId("to").setAttribute("aria-invalid", String(Boolean(text)));
  }
}
