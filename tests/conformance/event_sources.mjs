// EventSource for Node, in the versions that are in use. Arguments: pairs of a version and an address. Prints what each one gets, as JSON lines.

import { EventSource } from "eventsource";
import EventSource2 from "eventsource-2";

const VERSIONS = { "eventsource 4": EventSource, "eventsource 2": EventSource2 };

function follow(name, path, address) {
  const source = new VERSIONS[name](address);
  const say = (fields) => console.log(JSON.stringify({ client: `${name}, ${path}`, ...fields }));
  source.addEventListener("subscribed", () => say({}));
  source.onmessage = ({ data }) => say({ n: JSON.parse(data).data.n });
}

for (const [name, path, address] of JSON.parse(process.argv[2])) follow(name, path, address);
