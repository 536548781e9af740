// From the address of a server to that of its WebSocket. No I/O.

const PATH = "/v1/ws";
const SCHEMES = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" };
const EXPECTED = `expected https://hub.example, or wss://hub.example${PATH}`;

/**
 * https://hub.example and https://hub.example/behind/a/proxy/ are where the server is: its WebSocket is below. ws: and wss: with a path are
 * those of the WebSocket itself, whatever a proxy calls it. Relative ones are seen from `base`. Throws a TypeError that says why.
 */
export function socketAddress(given, base = globalThis.location?.href) {
  const url = parsed(given, base);
  const scheme = SCHEMES[url.protocol];
  if (!scheme) throw new TypeError(`the server's address is ${url.href}; ${EXPECTED}`);
  const { pathname } = url;
  const itself = pathname.endsWith(PATH) || (url.protocol === scheme && pathname !== "/");
  url.protocol = scheme;
  if (!itself) url.pathname = pathname.replace(/\/*$/, PATH);
  url.hash = ""; // no WebSocket may have one
  return url.href;
}

function parsed(given, base) {
  try {
    return new URL(given, base);
  } catch {
    throw new TypeError(`the server's address is ${JSON.stringify(String(given))}, which is no URL; ${EXPECTED}`);
  }
}
