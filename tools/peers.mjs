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
const VITEST = "5.1.2";
const JEST = "30.5.2";
// Frameworks with an HTTP server of their own, and what stands beside this library on one server. Express is a dependency.
const FRAMEWORKS = [
  ...["fastify@5.12.8", "hono@4.13.19", "@hono/node-server@2.1.9", "koa@3.3.0"],
  ...["@nestjs/core@12.5.1", "@nestjs/common@12.5.1", "@nestjs/platform-express@12.5.1"],
  ...["reflect-metadata@0.2.2", "rxjs@7.8.2"],
  ...["socket.io@4.8.4", "socket.io-client@4.8.4", "vite@8.4.0"],
  // End an HTTP server with its sockets.
  ...["http-terminator@3.2.0", "stoppable@1.1.0"],
];

const { platform, arch } = process;
const home = join(root, ".cache/peers");
// Reads the declarations for `npm run api`, and bundles a program for its budget.
const API_EXTRACTOR = "7.60.1";
const ESBUILD = "0.28.2";
// The versions of TypeScript that the declarations are compiled with, beside the one that builds the package.
const TYPESCRIPT = ["5.4.5", "5.5.4", "5.6.3", "5.7.3", "5.8.3", "5.9.3", "6.0.3"];

// The runtimes are packages without dependencies or install scripts, which hold the program and nothing else.
const PACKAGES = [
  `vitest@${VITEST}`,
  `jest@${JEST}`,
  ...FRAMEWORKS,
  `@oven/bun-${platform === "win32" ? "windows" : platform}-${arch === "arm64" ? "aarch64" : arch}@${BUN}`,
  `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}@${DENO}`,
  `@microsoft/api-extractor@${API_EXTRACTOR}`,
  `esbuild@${ESBUILD}`,
  ...TYPESCRIPT.map((version) => `typescript-${version.slice(0, 3)}@npm:typescript@${version}`),
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
    // Optional peers of NestJS need others of it that no test uses.
    ...["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--legacy-peer-deps"],
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
  const [name] = spec.slice(0, at).split("@npm:");
  const manifest = join(home, "node_modules", name, "package.json");
  if (!existsSync(manifest)) return false;
  return JSON.parse(readFileSync(manifest, "utf8")).version === spec.slice(at + 1);
}
