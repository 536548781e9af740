// The HTTP interface for pages (PROTOCOL.md), with the credential where there is one: in a header, never in the address.
// Addresses are relative to the page: a proxy may serve all of this below a prefix, /hub/chat and /hub/v1/….

const channelPath = (channel) => `v1/channels/${encodeURIComponent(channel)}`;

export class Http {
  #token;
  #fetch;

  /** `token()` returns a token or what is empty, now or as a promise. `fetch` as the browser's. */
  constructor({ token = () => null, fetch = (...request) => globalThis.fetch(...request) } = {}) {
    this.#token = token;
    this.#fetch = fetch;
  }

  /** A page of history. `query`: since, limit. */
  history(channel, query = {}) {
    return this.#request(`${channelPath(channel)}?${new URLSearchParams(query)}`);
  }

  presence(channel) {
    return this.#request(`${channelPath(channel)}/presence`);
  }

  types() {
    return this.#request("v1/types");
  }

  /** `body`: an event, or an array of events, as JSON text. `key`: an idempotency key. */
  publish(channel, body, { key } = {}) {
    const headers = { "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) };
    return this.#request(channelPath(channel), { method: "POST", headers, body });
  }

  /** Resolves with a Response, whatever its status. */
  async #request(path, { headers, ...request } = {}) {
    const token = await this.#token();
    const proof = token ? { Authorization: `Bearer ${token}` } : {};
    return this.#fetch(path, { ...request, headers: { ...headers, ...proof }, credentials: "omit" });
  }
}
