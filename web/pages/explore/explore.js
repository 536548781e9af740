// The explorer's overview: the channels and types of this server. An address that names a channel
// leads to its page.

import { explored } from "./addresses.js";
import { openOverview } from "./overview.js";

const query = new URLSearchParams(location.search);
if (query.get("channel")) location.replace(explored(query) + location.hash);
else openOverview(query);
performance.mark("interactive");
