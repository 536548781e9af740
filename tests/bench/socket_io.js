// The yardstick: Socket.IO as its documentation shows it. Not part of EventHub.
const http = require("http");
const { Server } = require("socket.io");

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    if (request.url === "/publish") io.emit("event", JSON.parse(body));
    response.end("ok");
  });
});
const io = new Server(server, { transports: ["websocket"] });
server.listen(Number(process.argv[2]), "127.0.0.1");
