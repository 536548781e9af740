// Signals, and updates of members: loaded when the first one is sent. They are sent once: what a
// lost connection has not answered is forgotten. No I/O.

import { EventHubError } from "./errors.js";
import { json } from "./pending-publishes.js";

export class Signals {
  #connection;
  #limit;
  #channels;
  #sent = 0;
  #pending = new Map();

  /** `limit`: unanswered ones at a time. */
  constructor(connection, limit, channels) {
    this.#connection = connection;
    this.#limit = limit;
    this.#channels = channels;
  }

  /** Resolves with whether the server accepted it; rejects with an EventHubError. */
  signal(channel, data) {
    return this.#command({ type: "publish", channel, data, signal: true });
  }

  /** As signal(). If it is lost, the next connection gives the data with `subscribe`. */
  async updateMember(name, data) {
    const channel = this.#channels.named(name);
    if (!channel?.member) {
      throw new EventHubError("not_subscribed", `no subscription of ${name} has a member`);
    }
    channel.data = data;
    try {
      const accepted = await this.#command({ type: "update", channel: name, data });
      if (accepted) channel.accepted = data;
      return accepted;
    } catch (error) {
      if (channel.data === data) channel.data = channel.accepted;
      throw error;
    }
  }

  accept(ref) {
    this.#take(ref)?.resolve(true);
  }

  /** Returns whether the refused command was one of them. */
  reject(ref, error) {
    const signal = this.#take(ref);
    signal?.reject(error);
    return signal !== undefined;
  }

  /** The connection is gone, and their answers with it. */
  forget() {
    for (const ref of [...this.#pending.keys()]) this.#take(ref).resolve(false);
  }

  async #command(message) {
    this.#sent += 1;
    const ref = `signal-${this.#sent}`;
    const text = json({ ref, ...message });
    const { maxBytes } = this.#channels;
    if (new TextEncoder().encode(text).length > maxBytes) {
      const fault = `the message is larger than ${maxBytes} bytes`;
      throw new EventHubError("payload_too_large", fault);
    }
    if (this.#pending.size >= this.#limit || !this.#connection.send(text)) return false;
    return new Promise((resolve, reject) => this.#pending.set(ref, { resolve, reject }));
  }

  #take(ref) {
    const signal = this.#pending.get(ref);
    this.#pending.delete(ref);
    return signal;
  }
}
