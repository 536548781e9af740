// What to do when a WebSocket cannot be opened. It is loaded when two attempts have failed.

import { HttpLink } from "./http-link.js";

const REASON = "WebSockets cannot be opened; a proxy may refuse them. Events come over HTTP";

/**
 * Replaces the WebSocket of this connection, if its server answers HTTP, and still no WebSocket: a
 * server that has just started answers both.
 */
export async function fallBack(url, connection, { WebSocket, timing }) {
  if (!(await new HttpLink(url).answers())) return;
  const socket = new WebSocket(url);
  const heard = await new Promise((resolve) => {
    socket.onmessage = () => resolve(true);
    socket.onerror = socket.onclose = () => resolve(false);
    setTimeout(() => resolve(false), timing.connect);
  });
  socket.close();
  if (heard) return;
  const { SseSocket } = await import("./sse.js");
  connection.replace(SseSocket, { transport: "sse", reason: REASON });
}
