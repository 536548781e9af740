// A stand-in for a WebSocket that cannot be opened, for example because a proxy refuses it: events
// come over Server-Sent Events, publishes go over HTTP (PROTOCOL.md). It has the interface of a
// WebSocket and speaks its messages, so nothing else knows of it. Loaded by fall-back.js.

import { HttpLink } from "./http-link.js";
import { expressionOf, isPattern } from "./positions.js";
import { readPattern } from "./pattern-pages.js";
import { SseStream } from "./sse-stream.js";

/** Browsers open six connections to a server, and publishes need one. */
const STREAMS = 4;
/** The server's limit of a stream. */
const CHANNELS = 32;
/** Milliseconds. */
const PRESENCE = 10_000;
const SILENCE = 60_000;

const later = (action) => setTimeout(action, 0);

export class SseSocket {
  #link;
  #subscriptions = new Map();
  #streams = new Set();
  #outgoing = [];
  #publishing = false;
  #opening = false;
  #closed = false;
  #timer = null;

  constructor(url) {
    this.#link = new HttpLink(url);
    this.#begin();
  }

  send(text) {
    const command = JSON.parse(text);
    const { type, ref, channel } = command;
    if (type === "auth") this.#authenticate(command);
    if (type === "subscribe") this.#subscribe(command);
    if (type === "unsubscribe") this.#unsubscribe(channel, ref);
    if (type === "update") this.#update(command);
    if (type === "ping") this.#ping();
    if (type !== "publish") return;
    this.#outgoing.push(command);
    this.#publish();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const stream of this.#streams) stream.close();
  }

  async #begin() {
    if (!(await this.#link.answers())) return this.#end(1006);
    const limits = { message_bytes: 65_536, subscriptions: STREAMS * CHANNELS, heartbeat: 25 };
    this.#say({ type: "hello", session: "sse", version: "", limits });
    this.#timer = setInterval(() => this.#pollPresence(), PRESENCE);
  }

  async #authenticate({ ref, token }) {
    this.#link.token = token;
    const refused = await this.#link.get("v1/types").then(({ error }) => error, this.#lost);
    if (this.#closed) return;
    if (refused) return this.#say({ ...refused, ref });
    this.#say({ type: "authenticated", ref, ...claims(token) });
    this.#reopen(() => true); // with the new token
  }

  #subscribe(command) {
    const { channel, since, more } = command;
    const known = this.#subscriptions.get(channel);
    const parts = known?.more ? { ...known.since, ...since } : since;
    const state = parts === "state" || String(parts).startsWith("state:");
    this.#subscriptions.set(channel, { ...command, since: parts, more, state, answered: false });
    if (!more) this.#openSoon();
  }

  #unsubscribe(channel, ref) {
    this.#subscriptions.delete(channel);
    for (const stream of [...this.#streams]) {
      if (stream.channels.every((each) => !this.#subscriptions.has(each))) this.#drop(stream);
    }
    this.#say({ type: "unsubscribed", ref, channel, reason: "client" });
  }

  #update({ ref, channel, data }) {
    const subscription = this.#subscriptions.get(channel);
    const id = subscription.member.id ?? subscription.member;
    subscription.member = data === null ? id : { id, data };
    this.#reopen((stream) => stream.channels.includes(channel));
    this.#say({ type: "updated", ref, channel });
  }

  async #ping() {
    const silent = [...this.#streams].some((stream) => stream.silence > SILENCE);
    if (!silent && (this.#streams.size > 0 || (await this.#link.answers()))) {
      this.#say({ type: "pong" });
    }
  }

  /** Publishes what waits, in one request after the other, so that the order stays. */
  async #publish() {
    if (this.#publishing) return;
    this.#publishing = true;
    while (this.#outgoing.length > 0 && !this.#closed) {
      const commands = this.#outgoing.splice(0, 100);
      const answers = await this.#link.publish(commands).catch(this.#lost);
      if (!answers || this.#closed) return;
      for (const answer of answers) this.#say(answer);
    }
    this.#publishing = false;
  }

  #reopen(which) {
    for (const stream of [...this.#streams]) if (which(stream)) this.#drop(stream);
    this.#openSoon();
  }

  #drop(stream) {
    this.#streams.delete(stream);
    stream.close();
  }

  // Subscriptions that come together share a stream.
  #openSoon() {
    if (this.#opening) return;
    this.#opening = true;
    later(() => {
      this.#opening = false;
      if (!this.#closed) this.#open();
    });
  }

  #open() {
    const groups = new Map();
    for (const each of this.#subscriptions.values()) {
      if (each.more) continue;
      const { channel, where, member } = each;
      const key = isPattern(channel) ? channel : JSON.stringify([where, member]);
      groups.set(key, [...(groups.get(key) ?? []), each]);
    }
    const wanted = [...groups.values()].flatMap((group) => slices(group));
    for (const group of wanted) if (!this.#isOpen(group)) this.#openGroup(group);
  }

  #isOpen(group) {
    return [...this.#streams].some(
      ({ channels }) => group.every((each) => each.answered && channels.includes(each.channel)),
    );
  }

  #openGroup(group) {
    const channels = group.map(({ channel }) => channel);
    for (const stream of [...this.#streams]) {
      if (stream.channels.some((each) => channels.includes(each))) this.#drop(stream);
    }
    if (this.#streams.size >= STREAMS) {
      const message = `over HTTP there are ${STREAMS} streams; expected fewer filters and patterns`;
      return this.#refuse(group, { code: "too_many_subscriptions", message });
    }
    const stream = new SseStream(channels, this.#link, {
      message: (message) => this.#receive(message),
      refused: (error) => this.#onRefused(group, error),
      end: () => this.#streams.has(stream) && this.#end(1006),
    });
    this.#streams.add(stream);
    if (!isPattern(channels[0])) return stream.open(group);
    this.#openPattern(stream, group[0]).catch(this.#lost);
  }

  async #openPattern(stream, subscription) {
    const { channel, where, ref, answered } = subscription;
    const wanted = () => this.#subscriptions.get(channel) === subscription;
    const same = () => this.#streams.has(stream) && wanted();
    const say = (message) => same() && this.#say(message);
    if (!answered) say({ type: "subscribed", ref, channel });
    subscription.answered = true;
    const found = await readPattern(this.#link, channel, subscription.since, where, say);
    if (found.error) return same() && this.#onRefused([subscription], found.error);
    subscription.since = found.positions;
    say({ type: "positions", channel, positions: found.positions, complete: true });
    if (same()) stream.open([{ ...subscription, since: found.cursor }]);
  }

  async #receive(message) {
    const { type, channel, id, position } = message;
    if (type === "error") {
      this.#say(message);
      return this.#end(message.code === "token_expired" ? 4401 : 4408, message.code);
    }
    if (type === "goodbye") {
      this.#say(message);
      return this.#end(1012);
    }
    if (type === "expiring") return this.#say(message);
    const subscription = this.#find(channel);
    if (!subscription) return;
    const at = id ?? position;
    const pattern = isPattern(subscription.channel);
    if (pattern && (type === "subscribed" || channel === subscription.channel)) return;
    if (at && pattern) subscription.since[channel] = at;
    if (at && !pattern) subscription.since = subscription.state ? `state:${at}` : at;
    if (type !== "subscribed") return this.#say(message);
    if (subscription.answered) return;
    subscription.answered = true;
    // Events that follow must not overtake it: so the members come in a message of their own.
    this.#say({ ...message, ref: subscription.ref });
    if (subscription.presence) this.#tellMembers(subscription);
  }

  #find(channel) {
    const covers = (each) => expressionOf(each.channel).test(channel);
    return this.#subscriptions.get(channel) ?? [...this.#subscriptions.values()].find(covers);
  }

  #pollPresence() {
    for (const each of this.#subscriptions.values()) if (each.presence) this.#tellMembers(each);
  }

  async #tellMembers(subscription) {
    const { channel } = subscription;
    const path = `v1/channels/${channel}/presence?limit=200`;
    const { value } = await this.#link.get(path).catch(() => ({}));
    const told = JSON.stringify(value);
    if (!value || told === subscription.told) return;
    if (this.#closed || this.#subscriptions.get(channel) !== subscription) return;
    subscription.told = told;
    const members = value.next === null && { members: value.members };
    this.#say({ type: "presence", channel, count: value.count, ...members });
  }

  /** One of several channels may be the cause. */
  async #onRefused(group, error) {
    if (error.status === 429 || error.status >= 500) {
      this.#say({ type: "goodbye", ...error });
      return this.#end(1013);
    }
    const alone = group.length === 1;
    const faults = alone ? [error] : await Promise.all(group.map((each) => this.#fault(each)));
    const some = faults.some(Boolean);
    group.forEach((each, index) => {
      if (faults[index] || !some) this.#refuse([each], faults[index] ?? error);
    });
    this.#reopen((stream) => stream.channels.includes(group[0].channel));
  }

  async #fault({ channel, where }) {
    const query = new URLSearchParams({ since: "latest", limit: "1", ...(where && { where }) });
    return (await this.#link.get(`v1/channels/${channel}?${query}`)).error;
  }

  #refuse(group, { code, message }) {
    for (const { channel, ref } of group) {
      this.#subscriptions.delete(channel);
      this.#say({ type: "error", ref, code, message });
    }
  }

  #lost = () => this.#end(1006);

  #end(code, reason = "") {
    if (this.#closed) return;
    this.close();
    this.onclose?.({ code, reason });
  }

  #say(message) {
    if (!this.#closed) this.onmessage?.({ data: JSON.stringify(message) });
  }
}

function slices(group) {
  const count = Math.ceil(group.length / CHANNELS);
  return Array.from({ length: count }, (_, i) => group.slice(i * CHANNELS, (i + 1) * CHANNELS));
}

/** What a JSON Web Token says of itself; an API key says nothing. */
function claims(token) {
  try {
    const text = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const { sub, exp } = JSON.parse(atob(text));
    return { principal: sub, expires_in: exp - Date.now() / 1000 };
  } catch {
    return { principal: "" };
  }
}
