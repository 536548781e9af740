// Requests to the server of a WebSocket, where that cannot be opened. Only for sse.js.

export class HttpLink {
  #base;

  constructor(url) {
    const base = new URL(url);
    base.protocol = base.protocol === "wss:" ? "https:" : "http:";
    base.pathname = base.pathname.replace(/v1\/ws$/, "");
    base.search = "";
    this.#base = base.href;
    this.token = null;
  }

  fetch(path, options = {}) {
    const authorization = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    const headers = { ...options.headers, ...authorization };
    const fixed = { credentials: "omit", cache: "no-store" };
    return fetch(this.#base + path, { ...fixed, ...options, headers });
  }

  /** Whether an EventHub answers there. */
  async answers() {
    try {
      const answer = await this.fetch("v1/types", { signal: AbortSignal.timeout(10_000) });
      const { types, code } = await answer.json();
      return answer.status < 500 && Boolean(types ?? code);
    } catch {
      return false;
    }
  }

  /** Resolves with `{ value }`, or `{ error }` of the protocol. Rejects without an answer. */
  async get(path) {
    const answer = await this.fetch(path);
    if (answer.ok) return { value: await answer.json() };
    return { error: await fault(answer) };
  }

  /** Resolves with the answers that a WebSocket gives to these `publish` commands. */
  async publish(commands) {
    const items = commands.map(({ type, ref, ...item }) => item);
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(items);
    const answer = await this.fetch("v1/events", { method: "POST", headers, body });
    const { results, ...problem } = await answer.json();
    if (!results && !problem.code) throw new TypeError(`the server answered ${answer.status}`);
    return commands.map(({ ref, channel, signal }, index) => {
      const { error, ...result } = results?.[index] ?? { error: message(problem) };
      if (error) return { type: "error", ref, ...error };
      return { type: signal ? "signaled" : "published", ref, channel, ...result };
    });
  }
}

const message = ({ code, detail, details, id }) => ({ code, message: detail, details, id });

/** The problem of an answer, as an `error` message with its status. */
export async function fault(answer) {
  const problem = await answer.json().catch(() => ({}));
  const { status } = answer;
  const { code = "internal", detail = `the server answered ${status}` } = problem;
  const wait = Number(answer.headers.get("Retry-After") ?? Number.NaN);
  return { type: "error", code, message: detail, status, retry_after: wait };
}
