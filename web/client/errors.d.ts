/** The token is missing or refused. The same token would be refused again. */
export declare const TOKEN_ERRORS: Set<string>;
/** The same command may succeed later. */
export declare const TEMPORARY_ERRORS: Set<string>;
export declare class EventHubError extends Error {
    code: string;
    details: {
        pointer: string;
        message: string;
    }[];
    /** The event that has the idempotency key, or the newest of the key (`ifMatch`). */
    id: string | undefined;
    /** Whether the token is missing or refused. */
    refusal: boolean;
    /** Whether the same command may succeed later. */
    passing: boolean;
    /**
     * `details`: the faults of an event, each with the JSON pointer of its place.
     * @param {string} code
     * @param {string} message
     * @param {{ pointer: string, message: string }[]} [details]
     * @param {string} [id]
     */
    constructor(code: string, message: string, details?: {
        pointer: string;
        message: string;
    }[], id?: string);
}
