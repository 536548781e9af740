// The HTTP interface (PROTOCOL.md) for pages of this server. A token is sent in a header, never in
// the address. Addresses are relative, so that they work below a proxy's path.

const channelPath = (channel) => `v1/channels/${encodeURIComponent(channel)}`;

export class Http {
  #base;
  #token;
  #fetch;

  /**
   * `base`: the address of the server with a slash at its end; empty: that of the page without its
   * last part. `token()`: returns a token, nothing, or a promise of either. `fetch`: as the
   * browser's.
   */
  constructor({
    base = "",
    token = () => null,
    fetch = (...request) => globalThis.fetch(...request),
  } = {}) {
    this.#base = base;
    this.#token = token;
    this.#fetch = fetch;
  }

  /** A page of history. `query`: since, limit. */
  history(channel, query = {}) {
    return this.#request(`${channelPath(channel)}?${new URLSearchParams(query)}`);
  }

  /** How many events follow a position. `query`: since, where. */
  count(channel, query = {}) {
    return this.#request(`${channelPath(channel)}/count?${new URLSearchParams(query)}`);
  }

  /** A page of the list of channels. `query`: match, after, limit. */
  channels(query = {}) {
    return this.#request(`v1/channels?${new URLSearchParams(query)}`);
  }

  presence(channel) {
    return this.#request(`${channelPath(channel)}/presence`);
  }

  types() {
    return this.#request("v1/types");
  }

  /** `body`: JSON text of one event or an array of events. `key`: an idempotency key. */
  publish(channel, body, { key } = {}) {
    const headers = {
      "Content-Type": "application/json",
      ...(key && { "Idempotency-Key": key }),
    };
    return this.#request(channelPath(channel), { method: "POST", headers, body });
  }

  /** Resolves with the Response, whatever its status. */
  async #request(path, { headers, ...request } = {}) {
    const token = await this.#token();
    const authorization = token ? { Authorization: `Bearer ${token}` } : {};
    return this.#fetch(this.#base + path, {
      ...request,
      headers: { ...headers, ...authorization },
      credentials: "omit",
    });
  }
}
