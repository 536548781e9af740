// The browser's view of the network. It may be wrong: a server on this machine needs no network.

/** Whether the browser reports a network. */
export const online = () => globalThis.navigator?.onLine !== false;

/**
 * Calls `check` when the network may be back or the page becomes visible, and `offline` when the
 * network is lost. Returns a function that stops both.
 */
export function watchBrowser(check, offline) {
  if (!globalThis.document) return () => {}; // Node
  const visible = () => document.visibilityState === "visible" && check();
  addEventListener("online", check);
  addEventListener("offline", offline);
  document.addEventListener("visibilitychange", visible);
  return () => {
    removeEventListener("online", check);
    removeEventListener("offline", offline);
    document.removeEventListener("visibilitychange", visible);
  };
}
