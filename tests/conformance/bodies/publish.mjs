// Publishes as Node does: fetch, and the http module. Lines as in publish.go.
import http from "node:http";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

async function* pieces(body) {
  yield body.subarray(0, 3);
  yield body.subarray(3);
}

async function fetched(way, url, media, body) {
  const stream = way === "fetch-stream";
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": media },
    body: stream ? Readable.toWeb(Readable.from(pieces(body))) : body,
    ...(stream ? { duplex: "half" } : {}),
    signal: AbortSignal.timeout(30000),
  });
  return [response.status, Buffer.from(await response.arrayBuffer())];
}

function requested(way, url, media, body) {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": media };
    if (way !== "http-chunked") headers["Content-Length"] = body.length;
    if (way === "http-expect") headers.Expect = "100-continue";
    const request = http.request(url, { method: "POST", headers, timeout: 30000 }, async (response) => {
      const parts = [];
      for await (const part of response) parts.push(part);
      resolve([response.statusCode, Buffer.concat(parts)]);
    });
    request.on("error", reject);
    const send = () => {
      request.write(body.subarray(0, 3));
      request.end(body.subarray(3));
    };
    if (way === "http-expect") request.on("continue", send).flushHeaders();
    else send();
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const [way, url, media, body] = line.split("\t");
  const publish = way.startsWith("fetch") ? fetched : requested;
  const [status, answer] = await publish(way, url, media, Buffer.from(body, "base64")).catch((error) => [0, Buffer.from(String(error))]);
  console.log(`${status}\t${answer.toString("base64")}`);
}
