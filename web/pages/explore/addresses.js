// The addresses of channels in the explorer.

import { addressOf } from "../common/place.js";

/** The page of a channel or pattern. `query`: channel, and perhaps since and where. */
export function explored(query) {
  const { channel, ...rest } = Object.fromEntries(query);
  const more = Object.keys(rest).length ? `?${new URLSearchParams(rest)}` : "";
  return addressOf(`explore/${encodeURIComponent(channel)}${more}`);
}

export const exploredChannel = (channel) => explored([["channel", channel]]);
