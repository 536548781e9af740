// The types of the hooks, "@eventhub/client/react".

import type { ReactElement, ReactNode } from "react";
import type { EventHub, EventHubError } from "./eventhub.js";
import type { Event, Gap, Member, Published, Status, SubscribeOptions } from "./types.js";

/** Gives a hub to the hooks of all components below. */
export declare function HubProvider(props: { hub: EventHub; children?: ReactNode }): ReactElement;

/** The hub of the HubProvider above. */
export declare function useHub(): EventHub;

export interface ChannelState<T> {
  /** The newest events, the newest last. */
  readonly events: readonly Event<T>[];
  readonly gaps: readonly Gap[];
  /** Everything up to the head has arrived. */
  readonly replayed: boolean;
  /** What has ended the subscription. */
  readonly error: EventHubError | null;
}

/** The newest events of a channel or pattern; `limit` (100) says how many, gaps included. */
export declare function useChannel<T = unknown>(
  channel: string,
  options?: Pick<SubscribeOptions, "since" | "where"> & { limit?: number },
): ChannelState<T>;

/**
 * The data of the newest event (`initial` until there is one, and after a deletion), and a function
 * that publishes data, or what a function makes of the value that is shown.
 */
export declare function useLatest<T>(
  channel: string,
  initial: T,
  options?: Pick<SubscribeOptions, "where">,
): [value: T, publish: (next: T | ((value: T) => T)) => Promise<Published>];
export declare function useLatest<T>(
  channel: string,
): [value: T | undefined, publish: (next: T | ((value?: T) => T)) => Promise<Published>];

export interface PresenceState {
  /** In order of their ids. Empty if there are more than 200. */
  readonly members: readonly Member[];
  readonly count: number;
  readonly error: EventHubError | null;
}

/** The members of a channel. With `member`, this client is one of them. */
export declare function usePresence(
  channel: string,
  options?: { member?: string | Member },
): PresenceState;

/** The status of the connection. */
export declare function useStatus(): Status;
