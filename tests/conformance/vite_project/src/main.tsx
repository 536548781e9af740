import { EventHub } from "@eventhub/client";
import { HubProvider } from "@eventhub/client/react";
import { StrictMode, version } from "react";
import { createRoot } from "react-dom/client";

import { Page } from "./page";

const server = new URLSearchParams(location.search).get("server") ?? "";
const hub = new EventHub(server, { token: async () => null, storage: sessionStorage });

document.documentElement.dataset.react = version;
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <HubProvider hub={hub}>
      <Page />
    </HubProvider>
  </StrictMode>,
);
