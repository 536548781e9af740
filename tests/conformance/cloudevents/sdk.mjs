// Publishes with the official JavaScript SDK in every mode, and reads back what the channel has:
// node sdk.mjs URL CHANNEL. Prints the events as the SDK understands them.
import { CloudEvent, HTTP } from "cloudevents";

const [url, channel] = process.argv.slice(2);
const address = `${url}/v1/channels/${channel}`;

async function publish({ headers, body }) {
  const answer = await fetch(address, { method: "POST", headers, body });
  if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
}

const event = (id, fields) =>
  new CloudEvent({ id, source: "/js", type: "com.example.js", subject: "a b", ...fields });
await publish(HTTP.binary(event("1", { data: { a: 1 }, myext: "x" })));
await publish(HTTP.structured(event("2", { data: "<a/>", datacontenttype: "text/xml", yes: true })));
await publish(HTTP.structured(event("3", { data: new Uint8Array([255, 0]), datacontenttype: "image/png" })));

const answer = await fetch(address, { headers: { accept: "application/cloudevents+json" } });
const headers = { "content-type": answer.headers.get("content-type") };
const events = HTTP.toEvent({ headers, body: await answer.text() });
for (const found of events) {
  found.validate();
  const data = found.data_base64 ?? found.data;
  console.log(JSON.stringify([found.id, found.type, found.subject, found.myext, found.yes, data]));
}
