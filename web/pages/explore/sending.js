// Sends what the publish form holds, and says what became of it. No DOM.

import { addressOf } from "../common/place.js";
import { parse } from "./json.js";
import { placeOf } from "./form-model.js";
import { httpOf } from "./request.js";

/**
 * The idempotency key of a publish. It stays the same while the request does, until there is an
 * answer: so a publish whose answer was lost can be repeated.
 */
export class AttemptKey {
  #newKey;
  #text = null;
  #key = null;

  constructor(newKey) {
    this.#newKey = newKey;
  }

  for(text) {
    if (text !== this.#text) this.#key = this.#newKey();
    this.#text = text;
    return this.#key;
  }

  settle() {
    this.#text = null;
  }
}

/**
 * Resolves with { good, certain, title, text, faults, error }. `certain`: whether it is known if the
 * event is stored. `faults`: [{ steps, message }], the places in the event.
 */
export async function send(request, { hub, token }) {
  try {
    if (request.accepts.includes("producer")) return await overHttp(request, token);
    return await overSocket(request, hub);
  } catch (error) {
    if (error.code) return refused(error.code, error.message, error.details);
    const text = `${error.message}. Publish again: the same key stores it once.`;
    return { good: false, certain: false, title: "Not sent", text, faults: [] };
  }
}

async function overHttp(request, token) {
  const { headers, path, body } = httpOf(request);
  const authorization = token && { Authorization: `Bearer ${token}` };
  const response = await fetch(addressOf(path.slice(1)), {
    method: "POST",
    headers: { ...headers, ...authorization },
    body,
    credentials: "omit",
  });
  const answer = await response.json().catch(() => ({}));
  const { status } = response;
  if (answer.code) {
    return { ...refused(answer.code, answer.detail, answer.details, status), certain: isCertain(status) };
  }
  const faults = faultsOfItems(answer.results, request.many);
  return {
    good: response.ok && !answer.rejected,
    certain: isCertain(status),
    title: titleOf(answer, response, request.signal),
    text: textOf(answer),
    faults,
  };
}

const isCertain = (status) => status < 500 && status !== 408 && status !== 429;

function titleOf({ results, accepted, rejected }, response, signal) {
  const { status, statusText } = response;
  if (signal) return `${status} ${statusText}: the signal was sent`;
  if (response.headers.get("Idempotent-Replayed")) return `${status}: it was stored before`;
  if (results) return `${status} ${statusText}: ${accepted} stored, ${rejected} refused`;
  return `${status} ${statusText}`;
}

function textOf({ id, time, results = [] }) {
  if (id) return `id ${id}\ntime ${time}`;
  const line = ({ id: stored, error }, index) =>
    `${index + 1}: ${stored ?? `${error.code}: ${error.message}`}`;
  return results.slice(0, 100).map(line).join("\n");
}

function faultsOfItems(results = [], many = false) {
  return results.flatMap(({ error }, index) =>
    (error?.details ?? []).map((each) => ({
      steps: [...(many ? [String(index)] : []), ...placeOf(each)],
      message: each.message,
    })),
  );
}

function refused(code, message, details = [], status = "") {
  const faults = details.map((each) => ({ steps: placeOf(each), message: each.message }));
  const lines = details.map(({ pointer, message: why }) => `${pointer || "/"}: ${why}`);
  return {
    good: false,
    certain: true,
    title: `${status} ${code}`.trim(),
    text: [message, ...lines].filter(Boolean).join("\n"),
    faults,
    error: { code, message },
  };
}

async function overSocket({ channel, value, many, key, attributes, signal }, hub) {
  if (signal) {
    const there = await hub.signal(channel, value);
    const title = there ? "The signal was sent" : "Not sent: there is no connection";
    return { good: there, certain: true, title, text: "", faults: [] };
  }
  const ids = [];
  for (const each of many ? value : [value]) {
    const data = parse(JSON.stringify(each)); // it throws for integers that a number would round
    const options = { ...(key && !many && { key }), attributes };
    ids.push((await hub.publish(channel, data, options)).id);
  }
  const text = ids.map((id) => `id ${id}`).join("\n");
  return { good: true, certain: true, title: "Stored", text, faults: [] };
}
