// Hooks for React 18 and later: `import { … } from "@eventhub/client/react"`. All components that
// show the same thing share one subscription and see the same value at the same time.

import { createContext, createElement, useCallback, useContext, useMemo } from "react";
import { useSyncExternalStore } from "react";

import { EventsStore, LatestStore, PresenceStore, storeOf } from "./stores.js";

const HubContext = createContext(null);

/** Gives a hub to the hooks of all components below. */
export function HubProvider({ hub, children }) {
  return createElement(HubContext.Provider, { value: hub }, children);
}

export function useHub() {
  const hub = useContext(HubContext);
  if (!hub) throw new Error("there is no hub; expected <HubProvider hub={hub}> above");
  return hub;
}

/** The newest events of a channel or pattern. */
export function useChannel(channel, options = {}) {
  return useStore(EventsStore, channel, options);
}

/** The data of the newest event, and a function that publishes, as of useState. */
export function useLatest(channel, initial = undefined, options = {}) {
  const hub = useHub();
  const { event } = useStore(LatestStore, channel, options);
  const value = event === null || event.deleted !== undefined ? initial : event.data;
  const publish = useCallback(
    (next) => hub.publish(channel, typeof next === "function" ? next(value) : next),
    [hub, channel, value],
  );
  return [value, publish];
}

/** The members of a channel. With `member`, this client is one of them. */
export function usePresence(channel, options = {}) {
  return useStore(PresenceStore, channel, options);
}

/** The status of the connection. */
export function useStatus() {
  const hub = useHub();
  const subscribe = useCallback(
    (listener) => {
      hub.addEventListener("status", listener);
      return () => hub.removeEventListener("status", listener);
    },
    [hub],
  );
  const read = () => hub.status;
  return useSyncExternalStore(subscribe, read, read);
}

function useStore(Class, channel, options) {
  const hub = useHub();
  const key = JSON.stringify(options); // an object written in the component is new each time
  const store = useMemo(
    () => storeOf(Class, hub, channel, JSON.parse(key)),
    [Class, hub, channel, key],
  );
  return useSyncExternalStore(store.subscribe, store.read, store.read);
}
