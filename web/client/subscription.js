// One channel as its reader sees it: where it stands, what is a repetition, when what was missed has arrived. No I/O.

const ignore = () => {};
const HANDLERS = {
  onSubscribed: ignore,
  onEvent: ignore,
  onGap: ignore,
  onReplayed: ignore,
  onJoin: ignore,
  onLeave: ignore,
  onPresence: ignore,
  onError: (error) => console.error(error),
};

/** Whether `position` is at or beyond `other`. Positions of different epochs are never comparable (PROTOCOL.md, "Words"). */
export function reached(position, other) {
  const [epoch, offset] = position.split("-");
  const [otherEpoch, otherOffset] = other.split("-");
  return epoch === otherEpoch && BigInt(offset) >= BigInt(otherOffset);
}

export class Subscription {
  #since;
  #request;
  #on;
  #save;
  #standing = false;
  #times = 0;
  #head = null;
  #replayed = 0;

  /** `options` as for EventHub.subscribe; `save(position)` is called whenever the cursor moves. */
  constructor(channel, ref, { since = "latest", presence = false, member, ...handlers }, save) {
    this.channel = channel;
    this.ref = ref;
    this.cursor = null;
    this.attempt = 0;
    this.#since = since;
    this.#request = { type: "subscribe", ref, channel, ...(presence && { presence }), ...(member && { member }) };
    this.#on = { ...HANDLERS, ...handlers };
    this.#save = save;
  }

  /** The message that begins, or resumes, this subscription on a new connection. */
  request() {
    this.#standing = false;
    return { ...this.#request, since: this.cursor ?? this.#since };
  }

  receive(message) {
    // What comes before our own `subscribed` belongs to a subscription of this channel that has just been given up.
    if (message.type === "subscribed" && message.ref === this.ref) return this.#subscribed(message);
    if (!this.#standing) return;
    if (message.type === "event") this.#event(message);
    if (message.type === "gap") this.#gap(message);
    if (message.type === "join") this.#on.onJoin(message.member);
    if (message.type === "leave") this.#on.onLeave(message.member);
    if (message.type === "presence") this.#on.onPresence(message);
  }

  fail(error) {
    this.#on.onError(error);
  }

  #subscribed(message) {
    this.#standing = true;
    this.#times += 1;
    this.#head = message.head;
    this.#replayed = 0;
    this.attempt = 0;
    // Never back within an epoch: what was delivered on the last connection stays recognised.
    if (this.cursor === null || !reached(this.cursor, message.position)) this.#move(message.position);
    this.#on.onSubscribed(message);
    this.#arrived();
  }

  #event(event) {
    if (reached(this.cursor, event.id)) return;
    const replay = this.#head !== null;
    this.#replayed += replay;
    this.#move(event.id);
    this.#on.onEvent(event, { replay });
    this.#arrived();
  }

  #gap(gap) {
    this.#move(gap.position);
    this.#on.onGap(gap);
    this.#arrived();
  }

  #arrived() {
    if (this.#head === null || !reached(this.cursor, this.#head)) return;
    this.#head = null;
    this.#on.onReplayed({ count: this.#replayed, resumed: this.#times > 1 });
  }

  #move(position) {
    this.cursor = position;
    this.#save(position);
  }
}
