// What the browser knows of the network. It may be wrong: a server on this machine needs none.

/** Whether the browser believes that there is a network. */
export const online = () => navigator.onLine;

/** Calls `check` when the network, or the person, may have come back, and `offline` when it is gone. Returns a function that ends this. */
export function watchBrowser(check, offline) {
  const shown = () => document.visibilityState === "visible" && check();
  addEventListener("online", check);
  addEventListener("offline", offline);
  document.addEventListener("visibilitychange", shown);
  return () => {
    removeEventListener("online", check);
    removeEventListener("offline", offline);
    document.removeEventListener("visibilitychange", shown);
  };
}
