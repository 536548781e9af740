// The browser's view of the network and the page. Its view of the network may be wrong: a server on
// this machine needs none.

/** Whether the browser reports a network. */
export const online = () => globalThis.navigator?.onLine !== false;

/**
 * Calls `check` when the network may be back, and when the page becomes visible or is thawed;
 * `offline` when the network is lost; `suspend` when the page is frozen or kept for the back
 * button: an open connection would fill up unread. Returns a function that stops all.
 */
export function watchBrowser(check, offline, suspend) {
  if (!globalThis.document) return () => {}; // Node
  const heard = ({ type, persisted = true }) => {
    if (type === "offline") offline();
    else if (!persisted) return; // a page that goes for good, or has just come
    else if (type === "freeze" || type === "pagehide") suspend();
    else if (document.visibilityState === "visible" || type !== "visibilitychange") check();
  };
  const types = "online offline pageshow pagehide visibilitychange resume freeze".split(" ");
  for (const type of types) addEventListener(type, heard, true); // before those of the document
  return () => types.forEach((type) => removeEventListener(type, heard, true));
}
