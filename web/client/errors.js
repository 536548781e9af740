// The client's error, and what an error code allows. The codes are the protocol's (PROTOCOL.md),
// and two of the client's own: queue_full and stopped.

/** The token is missing or refused. The same token would be refused again. */
export const TOKEN_ERRORS = new Set(
  "unauthorized invalid_token token_expired forbidden revoked".split(" "),
);

/** The same command may succeed later. */
export const TEMPORARY_ERRORS = new Set(
  "internal broker_unavailable too_many_channels shutting_down".split(" "),
);

export class EventHubError extends Error {
  /**
   * `details`: the faults of an event, each with the JSON pointer of its place.
   * @param {string} code
   * @param {string} message
   * @param {{ pointer: string, message: string }[]} [details]
   * @param {string} [id]
   */
  constructor(code, message, details = [], id) {
    super(message);
    this.name = "EventHubError";
    this.code = code;
    this.details = details;
    /** The event that has the idempotency key, or the newest of the key (`ifMatch`). */
    this.id = id;
    /** Whether the token is missing or refused. */
    this.refusal = TOKEN_ERRORS.has(code);
    /** Whether the same command may succeed later. */
    this.passing = TEMPORARY_ERRORS.has(code);
  }
}
