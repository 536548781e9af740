// The client's options, each with its default: there is no `token`, which may be a function, and no
// `storage` of cursors. Tests replace the socket, the clock and the rest.

import { online, watchBrowser } from "./network.js";

export const DEFAULTS = {
  /** Called with each status of the connection, see EventHub. */
  onStatus: () => {},
  /** The server accepted the token: { principal, expires_in (seconds, if the token expires) }. */
  onAuthenticated: () => {},
  /** The token, and with it the connection, ends in { expires_in } seconds. A function renews. */
  onExpiring: () => {},
  /** The token function failed. It is called again for the next connection. */
  onTokenError: (error) => console.error(error),
  /** Unanswered publishes at a time. Any more are refused with `queue_full`. */
  outstanding: 256,
  /** Seconds. Publishes that are not stored by then are rejected with `too_old`. */
  maxAge: Infinity,

  WebSocket: globalThis.WebSocket,
  clock: {
    now: () => performance.now(),
    date: () => Date.now(),
    setTimeout: (action, milliseconds) => setTimeout(action, milliseconds),
    clearTimeout: (timer) => clearTimeout(timer),
  },
  /** A random number, at least 0 and below 1. */
  random: () => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32,
  /** Whether the browser reports a network. */
  online,
  /** Watches the network, see network.js. Returns a function that stops watching. */
  watch: watchBrowser,
  /** Seconds. */
  backoff: { base: 1, cap: 30 },
  /** Milliseconds: to connect, silence before a ping, to answer it. */
  timing: { connect: 10_000, ping: 15_000, pong: 5_000 },
};

/** Where there is no WebSocket. */
export const MISSING =
  'this runtime has no WebSocket: pass { WebSocket } from the package "ws", or use Node 22';
