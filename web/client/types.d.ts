// The values that an application gives and gets (PROTOCOL.md). Those of the classes are generated
// from their comments (`make docs`).

/** A token or API key, or a function that returns one or a promise of one. */
export type Token = string | null | (() => string | null | Promise<string | null>);

/** `reason` is for people; `code` is an error code (PROTOCOL.md). */
export type Status =
  | { state: "connecting" }
  /** `transport` is there if WebSockets cannot be opened, and `reason` then says so. */
  | { state: "open"; transport?: "sse"; reason?: string }
  | { state: "offline"; reason: string }
  | { state: "waiting"; seconds: number; reason: string; code?: string }
  /** It is over until connect() or setToken(). `advice`: what the page can do. */
  | { state: "stopped"; reason: string; code?: string; advice?: string };

export interface Event<T = unknown> {
  type: "event";
  channel: string;
  id: string;
  /** When the server received it, RFC 3339. */
  time: string;
  data: T;
  /** What it is about, if the channel type has a key (PROTOCOL.md, "State"). */
  key?: string;
  /** This key is deleted; `data` is null. */
  deleted?: string;
  /** The event that this one edits, deletes or reacts to, by its id. */
  refers?: string;
  relation?: "edit" | "delete" | "reaction";
  /** The version of the channel type's schema that `data` fits, if it has versions. */
  schema?: number;
  attributes?: Record<string, string>;
  /** The publisher's principal, if it had a credential. */
  by?: string;
}

/** Events after `after` and before `before` that will not come, and why. */
export interface Gap {
  type: "gap";
  channel: string;
  reason: string;
  after: string | null;
  before: string | null;
  position: string;
  skipped?: number;
}

/** For those who are there. It is stored nowhere and has no id. */
export interface Signal<T = unknown> {
  type: "signal";
  channel: string;
  time: string;
  data: T;
  by?: string;
}

export interface Member {
  id: string;
  data?: Record<string, unknown>;
}

/** Of a pattern it has `channels`, their number, and neither `position`, `head` nor `recovered`. */
export interface Subscribed {
  type: "subscribed";
  channel: string;
  channels?: number;
  position: string;
  head: string;
  recovered: boolean;
  count?: number;
  members?: Member[];
}

export interface Published {
  type: "published";
  channel: string;
  id: string;
  time: string;
}

export interface PublishOptions {
  /** Of an earlier attempt at the same event, so that it is stored once. */
  key?: string;
  /** Publish only if this id is the newest of its key, or `none`: only if the key has no event. */
  ifMatch?: string;
  attributes?: Record<string, string>;
  /** The event that this one edits, deletes (its data is null then) or reacts to, by its id. */
  refers?: string;
  relation?: "edit" | "delete" | "reaction";
  /** Seconds. If it is not stored by then, it is not sent any more, and rejected with `too_old`. */
  maxAge?: number;
}

export interface EventsOptions {
  since?: SubscribeOptions["since"];
  presence?: boolean;
  member?: string | Member;
  where?: string;
  cursor?: string | null;
}

export interface SubscribeOptions<T = unknown> {
  /**
   * `latest` (the default), `earliest`, `-20`, `10m`, an id, or `state`: the newest event of each
   * key, then every change. Of a pattern, also the positions of its channels, or its `cursor`.
   */
  since?: string | Record<string, string>;
  /** The name under which `storage` keeps the cursor (the channel's, by default); null: nowhere. */
  cursor?: string | null;
  /** Report the members. */
  presence?: boolean;
  /** This client in presence: its id, or its id and data. */
  member?: string | Member;
  /** A filter in CEL, such as `data.total > 100`. One for all subscribers of a channel. */
  where?: string;
  onSubscribed?(message: Subscribed): void;
  /** `replay`: the event was published before the subscription. */
  onEvent?(event: Event<T>, more: { replay: boolean }): void;
  onGap?(gap: Gap): void;
  onSignal?(signal: Signal): void;
  /** Everything up to the head has arrived. */
  onReplayed?(more: { count: number; resumed: boolean }): void;
  onJoin?(member: Member): void;
  onLeave?(member: Member): void;
  /** A member has other data. */
  onUpdate?(member: Member): void;
  /** The filter has no value for this event, and maybe for others. Told once. */
  onFilterFailed?(message: { channel: string; id: string; reason: string }): void;
  onPresence?(message: { count: number; members?: Member[] }): void;
  /** The subscription has ended, unless `error.passing`. */
  onError?(error: import("./errors.js").EventHubError): void;
}

/** Keeps cursors: localStorage, sessionStorage, or any object with these methods. */
export interface CursorStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): void | Promise<void>;
}

export interface Options {
  token?: Token;
  onStatus?(status: Status): void;
  /** The server accepted the token. `expires_in`: seconds, if it expires. */
  onAuthenticated?(message: { principal: string; expires_in?: number }): void;
  /** The token, and with it the connection, ends in `expires_in` seconds. */
  onExpiring?(message: { expires_in: number }): void;
  /** The token function failed. It is called again for the next connection. */
  onTokenError?(error: unknown): void;
  /** Unanswered publishes at a time. Any more are refused with `queue_full`. */
  outstanding?: number;
  /** Seconds, for every publish that does not say otherwise; without end by default. */
  maxAge?: number;
  storage?: CursorStorage | null;
  /** For runtimes without a WebSocket of their own, such as Node 20: that of the package `ws`. */
  WebSocket?: new (url: string) => unknown;
  /** Seconds: the bound of the first waits, and of all. A wait is a random part of the time away. */
  backoff?: { base: number; cap: number };
  /** Milliseconds: to connect, silence before a ping, to answer it. */
  timing?: { connect: number; ping: number; pong: number };
}
