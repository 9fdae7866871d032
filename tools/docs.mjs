/** Writes the pages of `docs` that are drawn from the code and from recorded results, and the files of `monitoring`: `npm run docs`. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ready, root } from "./ready.mjs";

await ready({ tests: true });
const built = (path) => import(pathToFileURL(join(root, ".build/tests", path)).href);
const { brokersDocument } = await built("brokers-document.js");
const { closingDocument } = await built("closing-document.js");
const { endsDocument } = await built("ends/document.js");
const { cliDocument } = await built("cli/document.js");
const { metricsDocument } = await built("metrics/document.js");
const { rulesFile } = await built("monitoring/alerts.js");
const { dashboardFile } = await built("monitoring/dashboard.js");
const { topicFailuresDocument } = await built("topics-document.js");
const { proofDocument } = await built("proof-document.js");
writeFileSync(join(root, "docs/proof.md"), proofDocument(root));
writeFileSync(join(root, "docs/brokers.md"), brokersDocument());
writeFileSync(join(root, "docs/closing.md"), closingDocument());
writeFileSync(join(root, "docs/ends.md"), endsDocument());
writeFileSync(join(root, "docs/metrics.md"), metricsDocument());
writeFileSync(join(root, "docs/cli.md"), await cliDocument());
writeFileSync(join(root, "docs/topics-failures.md"), topicFailuresDocument());
mkdirSync(join(root, "monitoring"), { recursive: true });
writeFileSync(join(root, "monitoring/holdfast.rules.yml"), rulesFile());
writeFileSync(join(root, "monitoring/holdfast.dashboard.json"), dashboardFile());
