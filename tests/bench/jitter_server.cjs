// The yardsticks of `jitter.py`: Socket.IO with the recovery of its documentation, and a bare `ws`.
// Not part of EventHub. Arguments: kind, port.
const http = require("http");

const [kind, port] = process.argv.slice(2);
let publish = () => {};
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    if (request.url === "/publish") publish(body);
    response.end("ok");
  });
});
if (kind === "socket.io") {
  const { Server } = require("socket.io");
  const io = new Server(server, {
    transports: ["websocket"],
    connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
  });
  publish = (body) => io.emit("event", JSON.parse(body));
} else {
  const { WebSocketServer } = require("ws");
  const sockets = new WebSocketServer({ server });
  publish = (body) => sockets.clients.forEach((socket) => socket.send(body));
}
server.listen(Number(port), "127.0.0.1");
