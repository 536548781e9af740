// The state of connection and channel as people read it: a dot, a line, a countdown, and a button to try at once.

const TEXT = {
  connecting: () => "connecting…",
  open: () => "connected",
  offline: () => "offline",
  waiting: ({ seconds }) => `reconnecting in ${Math.max(1, Math.ceil(seconds))} s…`,
  stopped: ({ reason }) => `stopped: ${reason}`,
  refused: ({ code, passing }) => `${passing ? "trying again" : "refused"}: ${code.replaceAll("_", " ")}`,
};

// Said once: a screen reader is not made to read a countdown.
const SPOKEN = { ...TEXT, waiting: () => "connection lost, reconnecting", offline: () => "offline, connects when the network is back" };

export class StatusView {
  #root;
  #ticking;
  #connection = { state: "connecting" };
  #refusal = null;

  /** `root` holds .status-text, .status-spoken and a button. */
  constructor(root, onRetry) {
    this.#root = root;
    root.querySelector("button").addEventListener("click", onRetry);
  }

  /** The state of the connection. */
  show(status) {
    this.#connection = status;
    this.#draw();
  }

  /** The channel was refused (an EventHubError): that is the state while the connection stands. null takes it back. */
  refuse(error) {
    if (error === this.#refusal) return;
    this.#refusal = error;
    this.#draw();
  }

  /** Whether the channel's refusal is what is shown. */
  get refused() {
    return this.#refusal !== null && this.#connection.state === "open";
  }

  #draw() {
    const { code, passing } = this.#refusal ?? {};
    const status = this.refused ? { state: "refused", code, passing } : this.#connection;
    clearInterval(this.#ticking);
    const spoken = SPOKEN[status.state](status);
    this.#root.dataset.state = status.state;
    this.#root.querySelector(".status-spoken").textContent = spoken;
    this.#root.querySelector("button").hidden = status.passing || status.state === "open" || status.state === "connecting";
    this.#write(status);
    if (status.state === "waiting") this.#countDown(status);
  }

  #countDown({ state, seconds }) {
    const end = performance.now() + seconds * 1000;
    this.#ticking = setInterval(() => this.#write({ state, seconds: (end - performance.now()) / 1000 }), 250);
  }

  #write(status) {
    const line = this.#root.querySelector(".status-text");
    const text = TEXT[status.state](status);
    if (line.textContent === text) return;
    line.textContent = text;
    line.title = text;
  }
}
