// Where this page is: the address of the server, also below a proxy's path, and what the page's own
// address names. Files are at /static/pages/common/, so the server is three levels above this one.

/** The address of the server, with a slash at its end. */
export const SERVER = new URL("../../../", import.meta.url);

/** The address of a page or of the interface, such as "chat/lobby" or "v1/types". */
export const addressOf = (path) => new URL(path, SERVER).href;

/** What stands after the page's name: "logs.>" in /logs/logs.%3E, "" in /logs. */
export function namedInAddress(pathname = location.pathname, server = SERVER.pathname) {
  const [, ...rest] = pathname.slice(server.length).split("/");
  try {
    return decodeURIComponent(rest.join("/"));
  } catch {
    return rest.join("/"); // a bare % in an address that a person typed
  }
}
