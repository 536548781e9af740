// Example channels and payloads, for the channel types of the default configuration.

const CHANNELS = { chat: "chat.lobby", logs: "logs.api", iot: "iot.greenhouse.t1" };

const PAYLOADS = {
  chat: [
    { sender: "ana", text: "Hello from the terminal" },
    { sender: "ana", text: "Two at once" },
  ],
  log: [
    { level: "info", message: "service started" },
    { level: "warning", message: "disk is 91 % full", logger: "api.disk" },
  ],
  reading: [
    { value: 21.5, unit: "Cel", sensor: "t1" },
    { value: 21.7, unit: "Cel", sensor: "t1" },
  ],
};

/** An example channel of a channel type. */
export function sampleChannel(name) {
  return CHANNELS[name] ?? `${name}.example`;
}

/** Two payloads that fit a payload model; empty objects for an unknown model. */
export function samplePayloads(payload) {
  return PAYLOADS[payload] ?? [{}, {}];
}
