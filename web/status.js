// The connection's state as people read it: a dot, a line, a countdown, and a button to try at once.

const TEXT = {
  connecting: () => "connecting…",
  open: () => "connected",
  waiting: ({ seconds }) => `reconnecting in ${Math.max(1, Math.ceil(seconds))} s…`,
  stopped: ({ reason }) => `stopped: ${reason}`,
};

// Said once: a screen reader is not made to read a countdown.
const SPOKEN = { ...TEXT, waiting: () => "connection lost, reconnecting" };

export class StatusView {
  #root;
  #ticking;

  /** `root` holds .status-text, .status-spoken and a button. */
  constructor(root, onRetry) {
    this.#root = root;
    root.querySelector("button").addEventListener("click", onRetry);
  }

  show(status) {
    clearInterval(this.#ticking);
    const spoken = SPOKEN[status.state](status);
    this.#root.dataset.state = status.state;
    this.#root.querySelector(".status-spoken").textContent = spoken;
    this.#root.querySelector("button").hidden = status.state === "open" || status.state === "connecting";
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
