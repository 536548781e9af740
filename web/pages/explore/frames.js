// The messages of this page's WebSocket as they were sent and received: the newest ones. No DOM.

export const LIMIT = 500;
/** Characters of one message that are kept. */
export const LENGTH = 16_384;

export class Frames {
  #all = [];
  #onChange;
  total = 0;

  /** `onChange()`: a message was added. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** The newest messages, oldest first: { number, at, direction, text, size }. */
  get all() {
    return this.#all;
  }

  /** `direction`: sent, received, or note for what happened to the connection. */
  add(direction, text) {
    this.total += 1;
    const kept = text.length > LENGTH ? `${text.slice(0, LENGTH)}…` : text;
    const at = Date.now();
    this.#all.push({ number: this.total, at, direction, text: kept, size: text.length });
    if (this.#all.length > 2 * LIMIT) this.#all.splice(0, this.#all.length - LIMIT);
    this.#onChange();
  }

  clear() {
    this.#all = [];
    this.#onChange();
  }

  /** A WebSocket class whose messages are added here. */
  recorded(Socket = globalThis.WebSocket) {
    const frames = this;
    return class extends Socket {
      constructor(...address) {
        super(...address);
        frames.add("note", `connecting to ${address[0]}`);
        this.addEventListener("message", ({ data }) => frames.add("received", String(data)));
        this.addEventListener("close", ({ code, reason }) =>
          frames.add("note", `closed with ${code}${reason && ` ${reason}`}`),
        );
      }

      send(text) {
        super.send(text);
        frames.add("sent", withoutToken(text));
      }
    };
  }
}

/** The message, with the token of an `auth` replaced: frames are copied, and shown to others. */
export function withoutToken(text) {
  if (!/"auth"/.test(text)) return text;
  const message = JSON.parse(text);
  return message.type === "auth" ? JSON.stringify({ ...message, token: "(left out)" }) : text;
}

const ARROWS = { sent: "→", received: "←", note: "·" };

/** The messages as lines to copy. */
export function linesOf(all) {
  const line = ({ at, direction, text }) =>
    `${new Date(at).toISOString()} ${ARROWS[direction]} ${text}`;
  return all.map(line).join("\n");
}
