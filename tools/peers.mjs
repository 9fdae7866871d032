/**
 * Fetches the peers that tests talk to and that npm has: `npm run peers`. Says what else there is to install.
 *
 * They lie in .cache, and not among the dependencies: each is larger than all of those together.
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root, runNpm } from "./ready.mjs";

// What the results say was compared: newer ones are a change like any other.
const BUN = "1.4.5";
const DENO = "2.9.6";

const { platform, arch } = process;
const home = join(root, ".cache/peers");
// Packages without dependencies or install scripts, which hold the program and nothing else.
const PACKAGES = [
  `@oven/bun-${platform === "win32" ? "windows" : platform}-${arch === "arm64" ? "aarch64" : arch}@${BUN}`,
  `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}@${DENO}`,
];
const SYSTEM = {
  chromium: [process.env.CHROMIUM ?? "chromium", ["--version"]],
  curl: ["curl", ["--version"]],
  "python3-autobahn": [process.env.PYTHON ?? "/usr/bin/python3", ["-B", "-c", "import autobahn.asyncio.websocket"]],
  "python3-websockets": [process.env.PYTHON ?? "/usr/bin/python3", ["-B", "-c", "import websockets.legacy"]],
  "python3-wsproto": [process.env.PYTHON ?? "/usr/bin/python3", ["-B", "-c", "import wsproto"]],
};

if (!PACKAGES.every(fetched)) {
  await runNpm([
    "install",
    "--prefix",
    home,
    ...["--no-save", "--no-package-lock", "--no-audit", "--no-fund"],
    ...PACKAGES,
  ]);
}
for (const one of PACKAGES) console.log(one);

const missing = Object.entries(SYSTEM).filter(([, [command, args]]) => {
  return spawnSync(command, args, { stdio: "ignore" }).status !== 0;
});
if (missing.length > 0) console.log(`apt-get install ${missing.map(([name]) => name).join(" ")}`);

function fetched(spec) {
  const at = spec.lastIndexOf("@");
  const manifest = join(home, "node_modules", spec.slice(0, at), "package.json");
  if (!existsSync(manifest)) return false;
  return JSON.parse(readFileSync(manifest, "utf8")).version === spec.slice(at + 1);
}
