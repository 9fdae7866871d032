/** The fuzz targets by their names. */

import { deflates } from "./deflates.ts";
import { fields } from "./fields.ts";
import { frames } from "./frames.ts";
import { framings } from "./framings.ts";
import { handshakes } from "./handshakes.ts";
import { looseFramings } from "./loose-framings.ts";
import type { Target } from "./target.ts";

export const TARGETS: Readonly<Record<string, Target>> = {
  frames,
  ...handshakes,
  fields,
  ...deflates,
  ...framings,
  ...looseFramings,
};
