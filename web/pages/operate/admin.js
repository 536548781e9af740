// The interface of operators (PROTOCOL.md, "Administration"), and what the page reads besides.

import { EventHubError } from "../../client/errors.js";

export class Admin {
  #base;
  #token;

  /** `base`: the address of the server. `token()`: the operator's key, or null. */
  constructor(base, token) {
    this.#base = base;
    this.#token = token;
  }

  connections(limit) {
    return this.#json(`v1/admin/connections?limit=${limit}`);
  }

  blocks() {
    return this.#json("v1/admin/blocks");
  }

  log() {
    return this.#json("v1/admin/log");
  }

  channels() {
    return this.#json("v1/channels?limit=1000");
  }

  setLevel(level) {
    return this.#json("v1/admin/log", { method: "PUT", body: JSON.stringify({ level }) });
  }

  disconnect(target) {
    return this.#json("v1/admin/disconnect", { method: "POST", body: JSON.stringify(target) });
  }

  block(target, time) {
    const body = JSON.stringify({ ...target, for: time });
    return this.#json("v1/admin/blocks", { method: "POST", body });
  }

  unblock(target) {
    return this.#json(`v1/admin/blocks?${new URLSearchParams(target)}`, { method: "DELETE" });
  }

  /** The text of /metrics; null where this address does not have it. */
  async metrics() {
    const response = await this.#request("metrics", {});
    return response.ok ? response.text() : null;
  }

  async #json(path, request = {}) {
    const response = await this.#request(path, request);
    if (response.status === 204) return null;
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const code = answer.code ?? `status ${response.status}`;
    throw new EventHubError(code, answer.detail ?? "the server gave no reason");
  }

  #request(path, request) {
    const token = this.#token();
    const headers = {
      ...(request.body && { "Content-Type": "application/json" }),
      ...(token && { Authorization: `Bearer ${token}` }),
    };
    return fetch(this.#base + path, { ...request, headers, credentials: "omit" });
  }
}
