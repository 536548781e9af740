import { EventHubError } from "./errors.js";
export { EventHubError };
/** A `status` event follows each change of `status`. */
export declare class EventHub extends EventTarget {
    #private;
    /**
     * Connects at once. `url`: the address of the server or of its WebSocket (address.js); a
     * TypeError for any other, and where there is no WebSocket. A refused token stops the connection;
     * setToken() restarts it.
     * @param {string | URL} url
     * @param {import("./types.js").Options} [options]
     */
    constructor(url: string | URL, options?: import("./types.js").Options);
    /** @returns {import("./types.js").Status} */
    get status(): import("./types.js").Status;
    /** Connects now, also after a stop. */
    connect(): void;
    /**
     * Replaces `options.token`: on the open connection if possible, otherwise on a new one.
     * @param {import("./types.js").Token} token
     */
    setToken(token: import("./types.js").Token): void;
    close(): void;
    /**
     * Subscribes until unsubscribe(), across reconnects. `channel` may be a pattern, `iot.>`. Several
     * subscribers of a channel share one subscription at the server, and so one filter: an
     * EventHubError is thrown for another `where` (of a pattern, onError() gets it).
     * @template [T=unknown]
     * @param {string} channel
     * @param {import("./types.js").SubscribeOptions<T>} [options]
     * @returns {{ readonly channel: string, readonly cursor: string | null }} for unsubscribe()
     */
    subscribe<T = unknown>(channel: string, options?: import("./types.js").SubscribeOptions<T>): {
        readonly channel: string;
        readonly cursor: string | null;
    };
    /**
     * Ends what subscribe() returned, or all subscribers of a channel by its name.
     * @param {string | { readonly channel: string }} subscription
     */
    unsubscribe(subscription: string | {
        readonly channel: string;
    }): void;
    /**
     * The events and gaps of a channel or pattern, for `for await`. Leaving the loop unsubscribes. A
     * loop that is slow loses nothing: when 1,000 items wait, it unsubscribes, and resumes when they
     * are taken. Throws the EventHubError that ends the subscription.
     * @template [T=unknown]
     * @param {string} channel
     * @param {import("./types.js").EventsOptions} [options]
     * @returns {AsyncGenerator<import("./types.js").Event<T> | import("./types.js").Gap, void, void>}
     */
    events<T = unknown>(channel: string, options?: import("./types.js").EventsOptions): AsyncGenerator<import("./types.js").Event<T> | import("./types.js").Gap, void, void>;
    /**
     * Resolves with the `published` message. Until it is answered, the event is sent again with the
     * same key after each reconnect. Rejects with an EventHubError, and with a TypeError for what
     * JSON does not have, such as NaN, a function or a cycle. To retry without storing the event
     * twice, pass the `key` of the first attempt.
     * @param {string} channel
     * @param {unknown} data
     * @param {import("./types.js").PublishOptions} [options]
     * @returns {Promise<import("./types.js").Published>}
     */
    publish(channel: string, data: unknown, options?: import("./types.js").PublishOptions): Promise<import("./types.js").Published>;
    /**
     * Publishes that a key is deleted from the state of the channel. Otherwise as publish().
     * @param {string} channel
     * @param {string} deleted
     * @param {import("./types.js").PublishOptions} [options]
     * @returns {Promise<import("./types.js").Published>}
     */
    delete(channel: string, deleted: string, options?: import("./types.js").PublishOptions): Promise<import("./types.js").Published>;
    /**
     * Sends a signal to those who are there now. It is stored nowhere and sent once. Resolves with
     * whether the server accepted it: false without an open connection, or if the connection is lost
     * before the answer. Rejects with an EventHubError if the server refuses it.
     * @param {string} channel
     * @param {unknown} data
     * @returns {Promise<boolean>}
     */
    signal(channel: string, data: unknown): Promise<boolean>;
    /**
     * Replaces the data of this client's member, as a whole; null removes it. Resolves with whether
     * the server accepted it: if false, the next connection gives it. Rejects with an EventHubError
     * if the server refuses it, or if no subscription of the channel has a member.
     * @param {string} channel
     * @param {Record<string, unknown> | null} data
     * @returns {Promise<boolean>}
     */
    updateMember(channel: string, data: Record<string, unknown> | null): Promise<boolean>;
    /** A new idempotency key. */
    newKey(): string;
}
