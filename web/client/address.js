// Turns the address of a server into the address of its WebSocket. No I/O.

const PATH = "/v1/ws";
const EXAMPLES = `https://hub.example, or wss://hub.example${PATH}`;

/**
 * Returns the address of the WebSocket. An http(s) address is the server's, with or without a
 * proxy's path: https://hub.example/path/ gives wss://hub.example/path/v1/ws. A ws(s) address
 * with a path is already the WebSocket's and keeps its path, as a proxy may rename it. A relative
 * address is resolved against `base`. Throws a TypeError for any other address.
 */
export function socketAddress(address, base = globalThis.location?.href) {
  let url = {};
  try {
    url = new URL(address, base);
  } catch {}
  const { pathname, protocol } = url;
  if (!/^(http|ws)s?:/.test(protocol)) {
    const received = url.href ?? `${JSON.stringify(String(address))}, which is not a URL`;
    throw new TypeError(`the server's address is ${received}; expected ${EXAMPLES}`);
  }
  const isSocket = pathname.endsWith(PATH) || (/^w/.test(protocol) && pathname !== "/");
  url.protocol = protocol.replace("http", "ws");
  if (!isSocket) url.pathname = pathname.replace(/\/*$/, PATH);
  url.hash = ""; // the WebSocket constructor rejects a fragment
  return url.href;
}
