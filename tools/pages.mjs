/** Makes self-contained pages: what a page names of a package is put into it, and its policy allows nothing else to run. */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A style sheet or a script of a development dependency, which the published page must not need. */
const PACKAGE_FILE = /<link rel="stylesheet" href="package:([^"]+)">|<script src="package:([^"]+)"><\/script>/g;
/** A style sheet of our own. */
const STYLE_SHEET = /<link rel="stylesheet" href="(\.[^"]+)">/g;
/** A program of our own: its modules, and those of packages that they import, become one script. */
const PROGRAM = /<script type="module" src="(\.[^"]+)"><\/script>/g;
const ELEMENT = /<(script|style)>([\s\S]*?)<\/\1>/g;

/**
 * Writes the page of this source. In its Content-Security-Policy, SCRIPT_HASHES and STYLE_HASHES stand for the hashes of its scripts
 * and styles. An element with a `type`, such as JSON, is data and has no hash.
 */
export async function writePage(root, source, output) {
  const place = join(root, source);
  let whole = readFileSync(place, "utf8").replace(PACKAGE_FILE, (_, style, script) => {
    const content = readFileSync(join(root, "node_modules", style ?? script), "utf8").trim();
    if (style !== undefined) return `<style>${content}</style>`;
    return `${license(root, script.split("/")[0])}<script>${content}</script>`;
  });
  for (const [element, path] of whole.matchAll(STYLE_SHEET)) {
    const { code } = await bundled(join(dirname(place), path));
    whole = whole.replace(element, () => `<style>${code}</style>`);
  }
  for (const [element, path] of whole.matchAll(PROGRAM)) {
    const { code, packages } = await bundled(join(dirname(place), path));
    const licenses = packages.map((name) => license(root, name)).join("");
    whole = whole.replace(element, () => `${licenses}<script>${code}</script>`);
  }
  const hashes = { script: [], style: [] };
  for (const [, kind, content] of whole.matchAll(ELEMENT)) {
    hashes[kind].push(`'sha256-${createHash("sha256").update(content).digest("base64")}'`);
  }
  const page = whole.replace("SCRIPT_HASHES", hashes.script.join(" ")).replace("STYLE_HASHES", hashes.style.join(" "));
  mkdirSync(dirname(join(root, output)), { recursive: true });
  writeFileSync(join(root, output), page);
}

/** The licence of a package has to be part of all copies. */
function license(root, name) {
  return `<!-- ${readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8").trim()} -->\n`;
}

/** The file and what it imports as one minified text, and the names of the packages among it. */
async function bundled(entry) {
  // Not before the packages are installed.
  const { build } = await import("esbuild");
  const { outputFiles, metafile, warnings } = await build({
    entryPoints: [entry],
    ...{ bundle: true, minify: true, write: false, metafile: true, legalComments: "none", logLevel: "warning" },
    ...{ format: "iife", target: "es2023", charset: "utf8" },
    ...{ jsx: "automatic", jsxImportSource: "preact" },
  });
  if (warnings.length > 0) throw new Error(`${entry} has faults`);
  const names = Object.keys(metafile.inputs).flatMap((path) => /node_modules\/([^/]+)\//.exec(path)?.[1] ?? []);
  return { code: outputFiles[0].text.trim(), packages: [...new Set(names)] };
}
