// The public address of the client, /static/client.js, for pages that import it.

export * from "./client/eventhub.js";
