// The public address of the client, /static/eventhub.js, for pages that import it.

export * from "./client/eventhub.js";
