// A page with each EventSource that browsers have or are given. `follow` begins; `taken` has what each one got.

import { fetchEventSource } from "./node_modules/@microsoft/fetch-event-source/lib/esm/index.js";
import ReconnectingEventSource from "./node_modules/reconnecting-eventsource/build/esm/reconnecting-eventsource.js";

const listen = (Source) => (address, open, take) => {
  const source = new Source(address);
  source.addEventListener("subscribed", open);
  source.addEventListener("message", take);
};

const CLIENTS = {
  "Chromium": listen(EventSource),
  "event-source-polyfill": listen(window.EventSourcePolyfill),
  "reconnecting-eventsource": listen(ReconnectingEventSource),
  "fetch-event-source": (address, open, take) =>
    fetchEventSource(address, {
      openWhenHidden: true,
      onmessage: (message) => {
        const { type } = JSON.parse(message.data); // as users do, of whatever comes
        if (type === "event") take(message);
        if (type === "subscribed") open();
      },
    }),
};

window.taken = {};
window.follow = (wanted) => {
  for (const [name, path, address] of wanted) {
    const own = (window.taken[`${name}, ${path}`] = { open: false, events: [] });
    CLIENTS[name](address, () => (own.open = true), ({ data }) => own.events.push(JSON.parse(data).data.n));
  }
};
