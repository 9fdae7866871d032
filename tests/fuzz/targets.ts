/** The fuzz targets by their names. */

import { deflates } from "./deflates.js";
import { fields } from "./fields.js";
import { frames } from "./frames.js";
import { framings } from "./framings.js";
import { handshakes } from "./handshakes.js";
import { looseFramings } from "./loose-framings.js";
import type { Target } from "./target.js";

export const TARGETS: Readonly<Record<string, Target>> = {
  frames,
  ...handshakes,
  fields,
  ...deflates,
  ...framings,
  ...looseFramings,
};
