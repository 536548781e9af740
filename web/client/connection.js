// One WebSocket that is kept alive: it connects, pings, notices silence, waits and connects again (PROTOCOL.md, "Heartbeat and closing").
// It knows hello, goodbye, ping and pong; channels and tokens are eventhub.js's business. Socket, clock and randomness are arguments.
//
//   connecting -> open        hello arrived
//   connecting | open -> waiting    closed with a code that allows another try, or silent for too long
//   waiting -> connecting     the wait is over, or check() or connect() was called
//   connecting | open | waiting -> offline    the browser says that there is no network; it is tried all the same, quietly, as that may
//                             be wrong (a server on this machine needs none): offline -> open, or connecting once the browser is online
//   any -> stopped            close() was called, or a close code that another try would meet again; connect() leads out

// Another try would meet these again: protocol errors, a message no endpoint accepts, an extension that is missing (RFC 6455, 7.4.1).
const REFUSALS = new Set([1002, 1003, 1007, 1008, 1009, 1010]);
const LONGEST_WAIT = 3_600;

/** Whether a connection that closed with `code` is worth another try. */
export function mayReconnect(code) {
  if (code >= 4400 && code < 4500) return code === 4408 || code === 4429;
  return !REFUSALS.has(code);
}

/** Full jitter: anything from nothing to `base` doubled per attempt, at most `cap` (seconds). */
export function backoff(attempt, { base, cap }, random) {
  return random() * Math.min(cap, base * 2 ** attempt);
}

export class Connection {
  #url;
  #options;
  #on;
  #socket = null;
  #dialling = null;
  #timer = null;
  #attempt = 0;
  #openedAt = null;
  #heardAt = 0;
  #probedAt = null;
  #reconnectIn = null;
  #lastWords = { code: "", message: "" };

  /**
   * `options`: WebSocket, clock, random, online(), backoff, timing (milliseconds). `on`: open(hello), message(message), status(status);
   * prepare(), before each connection, may return a promise that is waited for; mayRenew(code) says whether that makes up for a refusal.
   */
  constructor(url, options, on) {
    this.#url = url;
    this.#options = options;
    this.#on = on;
    this.status = { state: "stopped", reason: "not connected yet" };
  }

  /** Connects now; does nothing while connecting or open. */
  connect() {
    if (this.status.state !== "connecting" && this.status.state !== "open") this.restart();
  }

  /** Gives up what there is, and connects now. */
  restart() {
    this.#drop();
    this.#become({ state: "connecting" });
    this.#dial();
  }

  #dial() {
    this.#reconnectIn = null;
    this.#lastWords = { code: "", message: "" };
    this.#after(this.#options.timing.connect, () => this.#lost());
    const dialling = (this.#dialling = {});
    const still = (action) => (value) => this.#dialling === dialling && action(value);
    const prepared = this.#on.prepare();
    if (!prepared) return this.#open();
    prepared.then(still(() => this.#open()), still(() => this.#lost()));
  }

  #open() {
    this.#socket = new this.#options.WebSocket(this.#url);
    this.#socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    this.#socket.onclose = (event) => this.#closed(event.code, event.reason);
  }

  /** Something happened that may have broken the connection, or mended the network: find out now. */
  check() {
    if (this.status.state === "waiting" || this.status.state === "offline") this.#again();
    else if (this.status.state === "open" && this.#probedAt === null) this.#probe();
  }

  /** The browser says that the network is gone: what is open now would only be found dead later. */
  offline() {
    if (this.status.state !== "stopped") this.#lost();
  }

  /** Sends a text frame; false when there is no open connection. */
  send(text) {
    if (this.status.state !== "open") return false;
    this.#socket.send(text);
    return true;
  }

  /** `code`: of the server's refusal, if it was one. */
  close(reason, code) {
    this.#drop();
    this.#become({ state: "stopped", reason, ...(code && { code }) });
  }

  /** Connects again later, as after any loss. */
  retry() {
    this.#lost();
  }

  #receive(message) {
    this.#heardAt = this.#options.clock.now();
    if (message.type === "hello") return this.#opened(message);
    if (message.type === "pong") return;
    if (message.type === "goodbye") {
      this.#reconnectIn = message.reconnect_in;
      this.#lastWords = message;
      return;
    }
    if (message.type === "error" && message.ref == null) this.#lastWords = message;
    this.#on.message(message);
  }

  #opened(hello) {
    this.#openedAt = this.#heardAt;
    this.#listen();
    this.#become({ state: "open" });
    this.#on.open(hello);
  }

  #closed(code, reason) {
    // The reason of a close frame of ours is the code of the error.
    const refusal = code >= 4400 && code < 4500 ? this.#lastWords.code || reason : "";
    if (mayReconnect(code) || this.#on.mayRenew(refusal)) return this.#lost();
    this.close(this.#lastWords.message || reason || `the server closed the connection with code ${code}`, refusal);
  }

  #lost() {
    this.#drop();
    const { backoff: steps, clock, online, random, timing } = this.#options;
    // A server that accepts and closes at once must not be met with a first attempt each time.
    if (this.#openedAt !== null && clock.now() - this.#openedAt >= timing.settled) this.#attempt = 0;
    this.#openedAt = null;
    const asked = Number.isFinite(this.#reconnectIn) ? Math.min(Math.max(this.#reconnectIn, 0), LONGEST_WAIT) : null;
    const seconds = asked ?? backoff(this.#attempt, steps, random);
    this.#attempt += 1;
    this.#after(seconds * 1000, () => this.#again());
    if (online()) this.#become({ state: "waiting", seconds });
    else if (this.status.state !== "offline") this.#become({ state: "offline" });
  }

  #again() {
    if (this.status.state !== "offline") return this.connect();
    this.#drop();
    if (!this.#options.online()) return this.#dial();
    this.#attempt = 0;
    this.connect();
  }

  // Idle time is measured when the timer fires, so that a busy connection does not reset a timer for each message.
  #listen() {
    this.#probedAt = null;
    const { clock, timing } = this.#options;
    const quiet = clock.now() - this.#heardAt;
    if (quiet >= timing.ping) return this.#probe();
    this.#after(timing.ping - quiet, () => this.#listen());
  }

  #probe() {
    const asked = this.#options.clock.now();
    this.#probedAt = asked;
    this.#heardAt = -Infinity;
    this.#socket.send('{"type":"ping"}');
    this.#after(this.#options.timing.pong, () => (this.#heardAt >= asked ? this.#listen() : this.#lost()));
  }

  // A dead socket would take a minute to finish its closing handshake: it is left to itself.
  #drop() {
    this.#options.clock.clearTimeout(this.#timer);
    this.#dialling = null;
    if (this.#socket === null) return;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #after(milliseconds, action) {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = this.#options.clock.setTimeout(action, milliseconds);
  }

  #become(status) {
    this.status = status;
    this.#on.status(status);
  }
}
