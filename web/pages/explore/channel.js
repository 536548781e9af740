// The explorer's page of one channel or pattern.

import { namedInAddress } from "../common/place.js";
import { Workbench } from "./workbench.js";

new Workbench(namedInAddress(), new URLSearchParams(location.search));
performance.mark("interactive");
