// Where this page is: the address of the server, also below a proxy's path, and what the page's own
// address names. This file is below /static/ of the server, perhaps in the folder of a version.

/** The address of the server, with a slash at its end. */
export const SERVER = serverOf(import.meta.url);

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

function serverOf(file) {
  return new URL(file.slice(0, file.lastIndexOf("/static/") + 1));
}
