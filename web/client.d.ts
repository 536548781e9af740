export * from "./client/eventhub.js";
export type * from "./client/types.js";
