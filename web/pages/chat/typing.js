// Who is typing. Signals say so (PROTOCOL.md, "Signals"): they may be lost, so each is believed for
// a few seconds only. No I/O: the clock and the two ways out are arguments.

/** Milliseconds for which a signal is believed. The next one comes in time. */
export const BELIEVED = 5_000;
const EVERY = 3_000;
const MAX_NAMES = 20;
const MAX_NAME_LENGTH = 64;

/** The names of those who are typing, as a sentence. "" if nobody is. */
export function describeTyping(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return "Several people are typing…";
}

export class Typing {
  #show;
  #send;
  #clock;
  #until = new Map();
  #sentAt = -Infinity;
  #refused = false;

  /** `show(names)`: who is typing now. `send()`: a promise that rejects if signals are refused. */
  constructor(show, send, clock) {
    this.#show = show;
    this.#send = send;
    this.#clock = clock;
  }

  /** This person has changed what will be a message. */
  async changed(text) {
    const now = this.#clock.now();
    if (!text.trim() || this.#refused || now - this.#sentAt < EVERY) return;
    this.#sentAt = now;
    try {
      await this.#send();
    } catch {
      this.#refused = true; // this room takes no signals, or none from this person
    }
  }

  /** This person's message is sent: the next one is announced at once. */
  sent() {
    this.#sentAt = -Infinity;
  }

  /** A signal has come. Anybody may send anything, so all of it is checked. */
  heard(data, own) {
    const sender = data?.sender;
    if (data?.typing !== true || typeof sender !== "string" || sender === own) return;
    if (sender === "" || [...sender].length > MAX_NAME_LENGTH) return;
    if (!this.#until.has(sender) && this.#until.size >= MAX_NAMES) return;
    this.#until.set(sender, this.#clock.now() + BELIEVED);
    this.#clock.setTimeout(() => this.#update(), BELIEVED);
    this.#update();
  }

  /** A message of this person has come. */
  spoke(sender) {
    if (this.#until.delete(sender)) this.#update();
  }

  #update() {
    const now = this.#clock.now();
    for (const [name, until] of this.#until) if (until <= now) this.#until.delete(name);
    this.#show([...this.#until.keys()]);
  }
}
