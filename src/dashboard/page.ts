/** The page of the dashboard: one HTML file, and the header fields with which it is served. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The page, ready to be served. */
export interface Page {
  readonly html: string;
  /** The Content-Security-Policy: only the scripts and styles that are in the file run. */
  readonly policy: string;
}

// The build makes it, beside this file.
const FILE = fileURLToPath(new URL("./page.html", import.meta.url));

let cached: Page | undefined;

/** The page of this package. Undefined if the package was built without it. */
export function builtPage(): Page | undefined {
  if (cached !== undefined) return cached;
  try {
    cached = pageOf(readFileSync(FILE, "utf8"));
    return cached;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The page with the text `html`, whose scripts and styles are inline. */
export function pageOf(html: string): Page {
  const policy = [
    "default-src 'none'",
    `script-src ${hashes(html, "script")}`,
    `style-src ${hashes(html, "style")}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; ");
  return { html, policy };
}

function hashes(html: string, element: "script" | "style"): string {
  const all = Array.from(
    html.matchAll(new RegExp(`<${element}(?:\\s[^>]*)?>([\\s\\S]*?)</${element}>`, "g")),
    ([, text = ""]) => {
      return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
    },
  );
  return all.length === 0 ? "'none'" : all.join(" ");
}
