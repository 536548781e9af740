// One WebSocket that reconnects by itself (PROTOCOL.md, "Heartbeat and closing"). It handles
// hello, goodbye, ping and pong; channels and tokens are in eventhub.js. The socket, the clock and
// the randomness are arguments.
//
// State               Event                                              Next state
// connecting          hello arrives                                      open
// connecting, open    retryable close, or silence for too long           waiting
// waiting             the delay ends, or connect() or check()            connecting
// connecting, open,   the browser reports no network, or suspend()        offline
//   waiting
// offline             hello arrives: attempts go on, the browser may     open
//                     be wrong
// offline             the browser reports a network                      connecting
// any                 close(), or a close that must not be retried       stopped
// stopped             connect() or restart()                             connecting

// The same connection would be closed again: protocol errors, a message that no endpoint accepts,
// a missing extension (RFC 6455, section 7.4.1).
const FINAL_CLOSE_CODES = /^10(0[23789]|10)$/;
const MAX_DELAY_SECONDS = 3_600;

/** Milliseconds until a WebSocket is tried again after it was replaced. */
const REPLACED = 600_000;

const isRefusal = (closeCode) => closeCode >= 4400 && closeCode < 4500;

/** Whether to reconnect after a close with this code. */
export function mayReconnect(closeCode) {
  if (isRefusal(closeCode)) return closeCode === 4408 || closeCode === 4429;
  return !FINAL_CLOSE_CODES.test(closeCode);
}

/** The longest wait, after so many seconds without a connection. The wait is a random part of it. */
export const longestWait = (away, { base, cap }) => Math.min(cap, Math.max(base, away));

export class Connection {
  #url;
  #options;
  #on;
  #socket = null;
  #preparing = null;
  #timer = null;
  #lostAt = null; // when the absence began
  #longest = 0; // wait, in seconds
  #openedAt = null;
  #lastMessageAt = 0;
  #pingSentAt = null;
  #lastError = { code: "", message: "" };
  #failed = 0; // attempts in a row without a hello
  #replaced = null; // { Socket, at, told } in place of WebSockets

  /**
   * `options`: WebSocket, clock, random, online(), backoff, timing (milliseconds).
   * `on`: open(hello), message(message), status(status), prepare(), canRenew(code), blocked().
   * blocked() is called when every second attempt fails: WebSockets may be refused. prepare() runs
   * before each connection and may return a promise to wait for. canRenew(code) says whether a new
   * token makes up for a refusal.
   */
  constructor(url, options, on) {
    this.#url = url;
    this.#options = options;
    this.#on = on;
    this.status = { state: "stopped" };
  }

  /** Connects now. Does nothing while connecting or open. */
  connect() {
    if (this.status.state !== "connecting" && this.status.state !== "open") this.restart();
  }

  /** Discards the current connection, and connects now. */
  restart() {
    this.#discard();
    this.#setStatus({ state: "connecting" });
    this.#start();
  }

  /** Checks the connection now: the network may have changed. */
  check() {
    if (this.status.state === "waiting" || this.status.state === "offline") this.#reconnect();
    else if (this.status.state === "open" && this.#pingSentAt === null) this.#ping();
  }

  /** The browser reports no network: an open connection is given up at once. */
  offline() {
    this.#replaced = null; // the next network may be another
    if (this.status.state !== "stopped") this.retry("the network is gone");
  }

  /** The page is frozen: no connection until check(). */
  suspend() {
    if (this.status.state === "stopped") return;
    this.#discard();
    this.#setStatus({ state: "offline", reason: "the page is frozen" });
  }

  /** WebSockets cannot be opened: connects with one of these, which its status tells. */
  replace(Socket, told) {
    const { state } = this.status;
    if (this.#replaced || state === "open" || state === "stopped") return;
    this.#replaced = { Socket, at: this.#options.clock.now(), told };
    this.restart();
  }

  /** Sends a text frame. Returns false without an open connection. */
  send(text) {
    if (this.status.state !== "open") return false;
    this.#socket.send(text);
    return true;
  }

  /** Stops. `code`: the error code, if the server refused. */
  close(reason, code, advice) {
    this.#discard();
    this.#setStatus({ state: "stopped", reason, ...(code && { code }), ...(advice && { advice }) });
  }

  /** Reconnects later, as after a lost connection. */
  retry(reason) {
    if (this.#socket && this.#openedAt === null && !this.#lastError.code) this.#failed += 1;
    const blocked = this.#failed && this.#failed % 2 === 0 && !this.#replaced;
    this.#discard();
    const { clock, online } = this.#options;
    const seconds = this.#delay(clock.now());
    this.#openedAt = null;
    this.#setTimer(seconds * 1000, () => this.#reconnect());
    const { code } = this.#lastError;
    if (online()) this.#setStatus({ state: "waiting", seconds, reason, ...(code && { code }) });
    else if (this.status.state !== "offline") this.#setStatus({ state: "offline", reason });
    if (blocked) this.#on.blocked().catch(() => {}); // its module may not come either
  }

  #start() {
    this.#lastError = { code: "", message: "" };
    const { connect } = this.#options.timing;
    this.#setTimer(connect, () => this.retry(`no answer in ${connect / 1000} seconds`));
    const preparing = (this.#preparing = {});
    const ifCurrent = (action) => () => this.#preparing === preparing && action();
    const prepared = this.#on.prepare();
    if (!prepared) return this.#openSocket();
    prepared.then(
      ifCurrent(() => this.#openSocket()),
      ifCurrent(() => this.retry("there is no token")),
    );
  }

  #openSocket() {
    const { WebSocket, clock } = this.#options;
    if (this.#replaced && clock.now() - this.#replaced.at > REPLACED) this.#replaced = null;
    const socket = (this.#socket = new (this.#replaced?.Socket ?? WebSocket)(this.#url));
    socket.onerror = () => {}; // `ws` throws otherwise; a close follows every error
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => this.#onClose(event.code, event.reason);
  }

  #receive(message) {
    this.#lastMessageAt = this.#options.clock.now();
    if (message.type === "hello") return this.#onHello(message);
    if (message.type === "pong") return;
    const isGoodbye = message.type === "goodbye";
    if (isGoodbye || (message.type === "error" && message.ref == null)) this.#lastError = message;
    if (!isGoodbye) this.#on.message(message);
  }

  #onHello(hello) {
    this.#openedAt = this.#lastMessageAt;
    this.#watchSilence();
    this.#failed = 0;
    this.#setStatus({ state: "open", ...this.#replaced?.told });
    this.#on.open(hello);
  }

  #onClose(closeCode, reason) {
    // The server's close frame carries the error code as its reason.
    const code = isRefusal(closeCode) ? this.#lastError.code || reason : "";
    const fallback = reason || `the connection was closed with code ${closeCode}`;
    const why = this.#lastError.message || fallback;
    if (mayReconnect(closeCode) || this.#on.canRenew(code)) this.retry(why);
    else this.close(why, code);
  }

  /** Seconds: as a goodbye says, which is for this client alone; otherwise at random. */
  #delay(now) {
    // A server may accept and close at once: such a connection does not end the absence.
    const lasted = this.#openedAt !== null && now - this.#openedAt > this.#longest * 1000;
    if (lasted) this.#lostAt = null;
    this.#lostAt ??= now;
    const { backoff, random } = this.#options;
    this.#longest = longestWait((now - this.#lostAt) / 1000, backoff);
    const { reconnect_in: told, retry_after: least } = this.#lastError;
    const seconds = Number.isFinite(told) ? told : (least || 0) + random() * this.#longest;
    return Math.min(Math.max(seconds, 0), MAX_DELAY_SECONDS);
  }

  #reconnect() {
    if (this.status.state !== "offline") return this.connect();
    this.#discard();
    if (!this.#options.online()) return this.#start();
    this.#lostAt = null;
    this.connect();
  }

  // The silence is measured when the timer fires: a timer per message would cost more.
  #watchSilence() {
    this.#pingSentAt = null;
    const { clock, timing } = this.#options;
    const silence = clock.now() - this.#lastMessageAt;
    if (silence >= timing.ping) return this.#ping();
    this.#setTimer(timing.ping - silence, () => this.#watchSilence());
  }

  #ping() {
    const sentAt = this.#options.clock.now();
    this.#pingSentAt = sentAt;
    this.#lastMessageAt = -Infinity;
    this.#socket.send('{"type":"ping"}');
    this.#setTimer(this.#options.timing.pong, () =>
      this.#lastMessageAt >= sentAt ? this.#watchSilence() : this.retry("no pong came"),
    );
  }

  // The closing handshake of a dead socket takes a minute: the handlers are removed instead.
  #discard() {
    this.#options.clock.clearTimeout(this.#timer);
    this.#preparing = null;
    const socket = this.#socket;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
  }

  #setTimer(milliseconds, action) {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = this.#options.clock.setTimeout(action, milliseconds);
  }

  #setStatus(status) {
    this.status = status;
    this.#on.status(status);
  }
}
