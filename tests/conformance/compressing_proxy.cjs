// A reverse proxy with the compressing middleware that Node servers use. Prints the port it listens on.

const http = require("node:http");
const compression = require("compression");
const { createProxyServer } = require("http-proxy");

const proxy = createProxyServer({ target: process.argv[2] });
proxy.on("error", (_, request) => request.socket.destroy());
const compress = compression({ threshold: 0 });
const server = http.createServer((request, response) => compress(request, response, () => proxy.web(request, response)));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
