// The state of the connection and of the channel: a dot, a line with a countdown, a retry button.

import { TOKEN_ERRORS } from "../../client/errors.js";

const TEXT = {
  connecting: () => "connecting…",
  open: () => "connected",
  offline: () => "offline",
  waiting: ({ seconds }) => `reconnecting in ${Math.max(1, Math.ceil(seconds))} s…`,
  // The form for a token says the rest.
  stopped: ({ reason, code }) =>
    `stopped: ${TOKEN_ERRORS.has(code) ? code.replaceAll("_", " ") : reason}`,
  refused: ({ code, passing }) =>
    `${passing ? "trying again" : "refused"}: ${code.replaceAll("_", " ")}`,
};

// For screen readers: without the countdown, which they would read each second.
const SPOKEN = {
  ...TEXT,
  waiting: () => "connection lost, reconnecting",
  offline: () => "offline, connects when the network is back",
};

export class StatusView {
  #root;
  #countdown;
  #connection = { state: "connecting" };
  #refusal = null;

  /** `root` holds .status-text, .status-spoken and a button. */
  constructor(root, onRetry) {
    this.#root = root;
    root.querySelector("button").addEventListener("click", onRetry);
  }

  /** Shows a status of the connection. */
  show(status) {
    this.#connection = status;
    this.#draw();
  }

  /** Shows that the channel was refused with this EventHubError, while the connection is open. */
  refuse(error) {
    if (error === this.#refusal) return;
    this.#refusal = error;
    this.#draw();
  }

  /** Whether a refusal of the channel is shown. */
  get refused() {
    return this.#refusal !== null && this.#connection.state === "open";
  }

  #draw() {
    const { code, passing } = this.#refusal ?? {};
    const status = this.refused ? { state: "refused", code, passing } : this.#connection;
    const { state } = status;
    clearInterval(this.#countdown);
    this.#root.dataset.state = state;
    this.#root.querySelector(".status-spoken").textContent = SPOKEN[state](status);
    const nothingToRetry = status.passing || state === "open" || state === "connecting";
    this.#root.querySelector("button").hidden = nothingToRetry;
    this.#write(status);
    if (state === "waiting") this.#countDown(status);
  }

  #countDown({ state, seconds }) {
    const end = performance.now() + seconds * 1000;
    const tick = () => this.#write({ state, seconds: (end - performance.now()) / 1000 });
    this.#countdown = setInterval(tick, 250);
  }

  #write(status) {
    const line = this.#root.querySelector(".status-text");
    const text = TEXT[status.state](status);
    if (line.textContent === text) return;
    line.textContent = text;
    line.title = text;
  }
}
