// A publish and a subscription as commands and programs that do the same when they are pasted. A
// credential is never in them: they read it from a variable. No I/O.

import { stringify } from "./json.js";
import { javascript, python, shell, withVariable } from "./quoting.js";
import { httpOf } from "./request.js";

export const LANGUAGES = ["curl", "JavaScript", "Python", "CLI"];

/** The variable that a program reads its credential from; null: it needs none. */
export function variableOf(credential) {
  if (!credential) return null;
  return credential.startsWith("ehk_") ? "EVENTHUB_API_KEY" : "EVENTHUB_TOKEN";
}

/**
 * `view`: channel, since, where. `server`: its address without a slash at the end. `variable`: as of
 * variableOf(). Returns the text in each language.
 */
export function followSnippets({ channel, since, where }, server, variable) {
  const query = { channel, since, ...(where && { where }) };
  const { channel: _, ...options } = query;
  const parameters = Object.entries(query).map(([name, value]) => `--data-urlencode ${shell(`${name}=${value}`)}`);
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${shell(value)}`);
  const named = Object.entries(options).map(([name, value]) => `${name}=${python(value)}`);
  return {
    curl: lines([`curl -NsSG ${shell(`${server}/v1/ndjson`)}`, ...bearer(variable), ...parameters]),
    JavaScript: `${importClient(server, variable)}
for await (const item of hub.events(${javascript(channel)}, ${javascript(options)})) {
  console.log(item);
}`,
    Python: `${importHub(server, variable)}
for item in hub.follow(${[python(channel), ...named].join(", ")}):
    print(item)`,
    CLI: withNote(lines([`eventhub tail --server ${shell(server)}`, ...flags, shell(channel)]), variable),
  };
}

/**
 * `request`: { channel, value, many, key, attributes, signal, accepts }. `accepts`: who may publish
 * to the channel: producer (HTTP), client (WebSocket).
 */
export function publishSnippets(request, server, variable) {
  const overHttp = request.accepts.includes("producer");
  const refusal = "# This channel type takes no events over HTTP, only over a WebSocket.";
  return {
    curl: overHttp ? curlPublish(request, server, variable) : socketPublish(request, server, refusal),
    JavaScript: request.accepts.includes("client")
      ? clientPublish(request, server, variable)
      : fetchPublish(request, server, variable),
    Python: overHttp ? pythonPublish(request, server, variable) : refusal,
    CLI: overHttp ? commandPublish(request, server, variable) : refusal,
  };
}

function curlPublish(request, server, variable) {
  const { headers, path, body } = httpOf(request);
  const all = Object.entries(headers).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`);
  return lines([
    `curl ${shell(server + path)}`,
    ...bearer(variable),
    ...all,
    `--data-raw ${shell(body)}`,
  ]);
}

function fetchPublish(request, server, variable) {
  const { headers, path } = httpOf(request);
  const all = Object.entries(headers).map(([name, value]) => `    ${javascript(name)}: ${javascript(value)},`);
  if (variable) all.unshift(`    Authorization: \`Bearer \${${fromEnvironment(variable)}}\`,`);
  const { value, many, signal } = request;
  const wrapped = Array.isArray(value) && !many && !signal ? [value] : value;
  return `const response = await fetch(${javascript(server + path)}, {
  method: "POST",
  headers: {
${all.join("\n")}
  },
  body: JSON.stringify(${javascript(wrapped)}),
});
console.log(response.status, await response.json());`;
}

function clientPublish(request, server, variable) {
  const { channel, value, many, signal, key, attributes } = request;
  const options = { ...(key && { key }), ...(Object.keys(attributes).length && { attributes }) };
  const more = Object.keys(options).length ? `, ${javascript(options)}` : "";
  const data = many ? "event" : javascript(value);
  const call = signal
    ? `console.log(await hub.signal(${javascript(channel)}, ${data}));`
    : `console.log((await hub.publish(${javascript(channel)}, ${data}${more})).id);`;
  const loop = many ? `for (const event of ${javascript(value)}) {\n  ${call}\n}` : call;
  return `${importClient(server, variable)}\n${loop}\nhub.close();`;
}

function pythonPublish(request, server, variable) {
  const { channel, value, many, signal, key, attributes } = request;
  const isPlain = Object.keys(attributes).length === 0;
  const options = [
    ...(isPlain ? [] : [`attributes=${python(attributes)}`]),
    ...(key && !signal ? [`key=${python(key)}`] : []),
  ];
  const name = python(channel);
  const argumentsOf = (data) => [name, data, ...options].join(", ");
  const head = importHub(server, variable);
  if (signal) return `${head}\nhub.signal(${argumentsOf(python(value))})`;
  if (!many) return `${head}\nprint(hub.publish(${argumentsOf(python(value))}).id)`;
  if (isPlain) return `${head}\nfor result in hub.publish_many(${argumentsOf(python(value))}):\n    print(result)`;
  return `${head}\nfor event in ${python(value)}:\n    print(hub.publish(${argumentsOf("event")}).id)`;
}

function commandPublish(request, server, variable) {
  const { channel, value, many, signal, key, attributes } = request;
  const flags = [
    ...Object.entries(attributes).map(([name, text]) => `--attribute ${shell(`${name}=${text}`)}`),
    ...(key && !signal ? [`--idempotency-key ${shell(key)}`] : []),
    ...(signal ? ["--signal"] : []),
  ];
  const begin = `eventhub pub --server ${shell(server)}`;
  if (many) {
    const events = value.map((each) => shell(stringify(each))).join(" ");
    return withNote(`printf '%s\\n' ${events} |\n  ${lines([begin, ...flags, shell(channel)])}`, variable);
  }
  return withNote(lines([begin, ...flags, `-- ${shell(channel)} ${shell(stringify(value))}`]), variable);
}

function socketPublish({ channel, value, signal, key, attributes }, server, refusal) {
  const message = {
    type: "publish",
    ref: 1,
    channel,
    data: value,
    ...(key && !signal && { key }),
    ...(Object.keys(attributes).length && { attributes }),
    ...(signal && { signal }),
  };
  const address = `${server.replace(/^http/, "ws")}/v1/ws`;
  return `${refusal}\nprintf '%s\\n' ${shell(stringify(message))} | websocat ${shell(address)}`;
}

const lines = (parts) => parts.join(" \\\n  ");
const bearer = (variable) =>
  variable ? [`-H ${withVariable("Authorization: Bearer ", variable)}`] : [];
const withNote = (text, variable) =>
  variable ? `# It reads the credential from ${variable}.\n${text}` : text;
const fromEnvironment = (variable) => `process.env.${variable}`;

function importClient(server, variable) {
  const options = variable ? `, { token: ${fromEnvironment(variable)} }` : "";
  const from = variable
    ? `import { EventHub } from "@eventhub/client";`
    : `import { EventHub } from ${javascript(`${server}/static/client.js`)}; // in Node: "@eventhub/client"`;
  return `${from}\n\nconst hub = new EventHub(${javascript(server)}${options});`;
}

function importHub(server, variable) {
  const name = variable === "EVENTHUB_API_KEY" ? "key" : "token";
  const credential = variable ? `, ${name}=os.environ["${variable}"]` : "";
  const os = variable ? "import os\n\n" : "";
  return `${os}from eventhub_client.sync import Hub\n\nhub = Hub(${python(server)}${credential})`;
}
