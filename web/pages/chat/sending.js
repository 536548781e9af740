// Sends what the person writes: messages, and what refers to one. A message is on the page at once,
// and says whether it was stored.

export class Sending {
  #hub;
  #channel;
  #log;
  #outbox;
  #on;

  /** `on`: refused(error), problem(text), focus(), restore(text), me(). */
  constructor(hub, channel, log, outbox, on) {
    this.#hub = hub;
    this.#channel = channel;
    this.#log = log;
    this.#outbox = outbox;
    this.#on = on;
  }

  message(sender, text) {
    const entry = this.#outbox.add({ sender, text, key: this.#hub.newKey() });
    entry.row = this.#log.addPending(entry, this.#on.me());
    entry.row.querySelector(".retry").addEventListener("click", () => {
      this.#log.retry(entry.row);
      this.#on.focus();
      this.#send(entry);
    });
    entry.row.querySelector(".edit").addEventListener("click", () => {
      this.#outbox.remove(entry);
      entry.row.remove();
      this.#on.restore(entry.text);
    });
    this.#send(entry);
  }

  /** An edit, a deletion (`data` null) or a reaction. */
  async refer(refers, relation, data) {
    this.#on.problem("");
    try {
      await this.#hub.publish(this.#channel, data, { refers, relation });
    } catch (error) {
      if (error.refusal) this.#on.refused(error);
      const what = relation === "delete" ? "deletion" : relation;
      this.#on.problem(`The ${what} was not stored: ${faultsOf(error)}`);
    }
  }

  async #send(entry) {
    const { sender, text, key } = entry;
    try {
      const { id, time } = await this.#hub.publish(this.#channel, { sender, text }, { key });
      entry.time = time;
      this.#outbox.acknowledge(entry, id);
      this.#log.acknowledge(entry.row, time);
    } catch (error) {
      // The answer was lost, but the event has arrived: it is stored.
      if (entry.settled) return;
      if (error.refusal) this.#on.refused(error);
      this.#log.fail(entry.row, faultsOf(error));
    }
  }
}

function faultsOf({ details, message }) {
  const faults = details.map(({ pointer, message }) => `${pointer.slice(1) || "message"}: ${message}`);
  return faults.join("; ") || message;
}
