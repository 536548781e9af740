// One stream of Server-Sent Events, read with fetch: an EventSource cannot send a token. Only for
// sse.js.

import { fault } from "./http-link.js";

export class SseStream {
  #link;
  #on;
  #abort = new AbortController();
  #heardAt = performance.now();

  /** `on`: message(message), refused(error), end(): the connection is lost. */
  constructor(channels, link, on) {
    this.channels = channels;
    this.#link = link;
    this.#on = on;
  }

  /** Milliseconds since the last byte. */
  get silence() {
    return performance.now() - this.#heardAt;
  }

  close() {
    this.#abort.abort();
  }

  /** `subscriptions` have one filter and one member. */
  async open(subscriptions) {
    try {
      const { signal } = this.#abort;
      const answer = await this.#link.fetch(`v1/sse?${query(subscriptions)}`, { signal });
      if (!answer.ok) return this.#on.refused(await fault(answer));
      await this.#read(answer.body.getReader());
    } catch {
      // The connection is lost, or closed.
    }
    if (!this.#abort.signal.aborted) this.#on.end();
  }

  async #read(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#abort.signal.aborted) return;
      this.#heardAt = performance.now();
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) this.#onLine(line);
    }
  }

  // Each message is one line of data, and says in its `type` what it is.
  #onLine(line) {
    if (line.startsWith("data:") && !this.#abort.signal.aborted) {
      this.#on.message(JSON.parse(line.slice(5)));
    }
  }
}

function query(subscriptions) {
  const [{ where, member }] = subscriptions;
  const list = subscriptions.map(({ channel }) => ["channel", channel]);
  const values = new URLSearchParams([...list, ["since", since(subscriptions)]]);
  if (where !== undefined) values.set("where", where);
  if (member) values.set("member", member.id ?? member);
  if (member?.data) values.set("member_data", JSON.stringify(member.data));
  return values;
}

function since(subscriptions) {
  const [{ since: first }] = subscriptions;
  if (typeof first === "object") return cursor(Object.entries(first)) || "earliest";
  if (subscriptions.length === 1) return first;
  return cursor(subscriptions.map(({ channel, since: each }) => [channel, each]));
}

const cursor = (positions) => positions.map((position) => position.join("@")).join(",");
