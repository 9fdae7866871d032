/**
 * What an attack costs a server: bytes in, memory and processor time out. For Holdfast, ws and Bun, each with its defaults:
 * `npm run amplification`. With `--record` the results are written for docs/proof.md. Linux only: it reads /proc.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { record, recording } from "../../tools/proof-results.mjs";
import { ready, root } from "../../tools/ready.mjs";
import { ATTACKS } from "./attacks.mjs";

const bun = join(
  root,
  `.cache/peers/node_modules/@oven/bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}/bin/bun`,
);
const manifest = (path) => JSON.parse(readFileSync(join(root, path), "utf8")).version;
// In milliseconds of processor time.
const TICK = 10;

await ready();
const peers = [
  ["holdfast", `holdfast ${manifest("package.json")}`, process.execPath],
  ["ws", `ws ${manifest("node_modules/ws/package.json")}`, process.execPath],
];
if (existsSync(bun))
  peers.push(["bun", `Bun ${manifest(bun.slice(root.length).replace(/bin\/bun$/, "package.json"))}`, bun]);
else console.error("Bun is missing: npm run peers fetches it");

const attacks = [];
for (const [attack, run] of Object.entries(ATTACKS)) {
  const results = {};
  for (const [name, , program] of peers) {
    results[name] = await measured(name, program, attack, run);
    const { bytes, memory, cpu, open, ended } = results[name];
    console.log(
      `${attack}: ${name}: ${mebibytes(bytes)} MiB in, ${mebibytes(memory)} MiB of memory, ${cpu} ms, ${open} connections left${ended ? ", the process has ended" : ""}`,
    );
  }
  attacks.push({ attack, results });
}
if (recording) record("amplification", { peers: peers.map(([name, version]) => ({ name, version })), attacks });
// Sockets of attacks may be open.
process.exit();

async function measured(name, program, attack, run) {
  const way = attack.startsWith("a compressed") ? ["deflate"] : [];
  const server = spawn(program, [join(root, `bench/amplification/servers/${name}.mjs`), ...way], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [port] = await once(createInterface(server.stdout), "line");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = usage(server.pid);
  let most = before.memory;
  const look = () => {
    most = Math.max(most, usage(server.pid)?.memory ?? 0);
  };
  const timer = setInterval(look, 20);
  const { bytes, sockets } = await run(Number(port));
  // What is still on its way is handled.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  look();
  clearInterval(timer);
  const after = usage(server.pid);
  const open = sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
  for (const socket of sockets) socket.destroy();
  const ended = server.exitCode !== null || server.signalCode !== null;
  if (!ended) {
    server.kill("SIGKILL");
    await once(server, "close");
  }
  return { bytes, memory: most - before.memory, cpu: (after?.cpu ?? before.cpu) - before.cpu, open, ended };
}

/** Resident bytes, and milliseconds of processor time. Undefined if the process has ended. */
function usage(pid) {
  try {
    const [, resident] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
    return { memory: Number(resident ?? 0) * 1_024, cpu: (Number(fields[11]) + Number(fields[12])) * TICK };
  } catch {
    return undefined;
  }
}

function mebibytes(bytes) {
  return (bytes / 1_048_576).toFixed(1);
}
