// Commands for a terminal that work on this server as they are. No I/O.

import { sampleChannel, samplePayloads } from "../common/samples.js";

/** The sample configuration's channel types, for a server whose types are unknown. */
export const SAMPLE_TYPES = [
  { name: "chat", payload: "chat" },
  { name: "iot", payload: "reading" },
  { name: "logs", payload: "log" },
];

const NDJSON = "-H 'Content-Type: application/x-ndjson'";

/** [title, command] for these channel types. `base`: the address of the landing page. */
export function terminalLines(types, base) {
  const pick = (payload) => types.find((type) => type.payload === payload) ?? types[0];
  const [chat, readings, logs] = [pick("chat"), pick("reading"), pick("log")];
  const url = ({ name }) => `${base}v1/channels/${sampleChannel(name)}`;
  const { payload } = logs;
  const records = samplePayloads(payload).map((each) => `'${JSON.stringify(each)}'`);
  const event = JSON.stringify(samplePayloads(chat.payload)[0]);
  const events = JSON.stringify(samplePayloads(readings.payload));
  const stream = `${NDJSON} ${url(logs)}`;
  const socket = `${base.replace(/^http/, "ws")}v1/ws?channel=${sampleChannel(chat.name)}`;
  return [
    ["Publish an event", `curl -d '${event}' ${url(chat)}`],
    ["Publish many at once", `curl -d '${events}' ${url(readings)}`],
    ["Stream events, one a line", `printf '%s\\n' ${records.join(" ")} | curl -sN -T - ${stream}`],
    ["Stream a file as it grows", `tail -F app.log.jsonl | curl -sSN -T . ${stream}`],
    ["Follow a channel", `curl -N '${url(logs)}/ndjson?since=-20'`],
    ["Follow it over WebSocket", `websocat '${socket}&since=-20'`],
  ];
}
