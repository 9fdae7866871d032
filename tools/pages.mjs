/** Makes self-contained pages: what a page names of a package is put into it, and its policy allows nothing else to run. */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A style sheet or a script of a development dependency, which the published page must not need. */
const PACKAGE_FILE = /<link rel="stylesheet" href="package:([^"]+)">|<script src="package:([^"]+)"><\/script>/g;
const ELEMENT = /<(script|style)>([\s\S]*?)<\/\1>/g;

/**
 * Writes the page of this source. In its Content-Security-Policy, SCRIPT_HASHES and STYLE_HASHES stand for the hashes of its scripts
 * and styles. An element with a `type`, such as JSON, is data and has no hash.
 */
export function writePage(root, source, output) {
  const modules = join(root, "node_modules");
  const whole = readFileSync(join(root, source), "utf8").replace(PACKAGE_FILE, (_, style, script) => {
    const content = readFileSync(join(modules, style ?? script), "utf8").trim();
    if (style !== undefined) return `<style>${content}</style>`;
    // The licence has to be part of all copies.
    const license = readFileSync(join(modules, script.split("/")[0], "LICENSE"), "utf8").trim();
    return `<!-- ${license} -->\n<script>${content}</script>`;
  });
  const hashes = { script: [], style: [] };
  for (const [, kind, content] of whole.matchAll(ELEMENT)) {
    hashes[kind].push(`'sha256-${createHash("sha256").update(content).digest("base64")}'`);
  }
  const page = whole.replace("SCRIPT_HASHES", hashes.script.join(" ")).replace("STYLE_HASHES", hashes.style.join(" "));
  mkdirSync(dirname(join(root, output)), { recursive: true });
  writeFileSync(join(root, output), page);
}
