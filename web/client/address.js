// Turns the address of a server into the address of its WebSocket. No I/O.

const PATH = "/v1/ws";
const SCHEMES = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" };
const EXPECTED = `expected https://hub.example, or wss://hub.example${PATH}`;

/**
 * Returns the address of the WebSocket. An http(s) address is the server's, with or without a
 * proxy's path: https://hub.example/path/ gives wss://hub.example/path/v1/ws. A ws(s) address
 * with a path is already the WebSocket's and keeps its path, as a proxy may rename it. A relative
 * address is resolved against `base`. Throws a TypeError for any other address.
 */
export function socketAddress(address, base = globalThis.location?.href) {
  const url = parse(address, base);
  const scheme = SCHEMES[url.protocol];
  if (!scheme) throw new TypeError(`the server's address is ${url.href}; ${EXPECTED}`);
  const { pathname } = url;
  const isSocket = pathname.endsWith(PATH) || (url.protocol === scheme && pathname !== "/");
  url.protocol = scheme;
  if (!isSocket) url.pathname = pathname.replace(/\/*$/, PATH);
  url.hash = ""; // the WebSocket constructor rejects a fragment
  return url.href;
}

function parse(address, base) {
  try {
    return new URL(address, base);
  } catch {
    const received = JSON.stringify(String(address));
    throw new TypeError(`the server's address is ${received}, which is not a URL; ${EXPECTED}`);
  }
}
