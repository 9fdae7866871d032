/** Workers, each in its own process: how they share connections, and how they end and are replaced. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ClosedError } from "../../src/index.ts";
import { startWorkers, type WorkersOptions } from "../../src/workers/index.ts";
import { type Client, WorkersProcess } from "./workers-process.ts";

const LIMIT = { timeout: 240_000 };
const POSIX = { ...LIMIT, skip: process.platform === "win32" && "signals are a matter of POSIX" };

const echoed = async ({ connection }: Client, message: string): Promise<void> => {
  await connection.send(message);
  assert.equal(await connection.receive(), message);
};

describe("workers", POSIX, () => {
  it("listen on one address, each has its share, and the fast transport where there is one", async () => {
    await using scene = await WorkersProcess.start({ workers: 3 });
    const clients = await scene.clients(3);
    assert.deepEqual(
      clients.map(({ id }) => id),
      [1, 2, 3],
    );
    assert.equal(new Set(clients.map(({ pid }) => pid)).size, 3);
    for (const client of clients) await echoed(client, "hello");
    const suited = ["linux", "darwin"].includes(process.platform) && process.env["HOLDFAST_TRANSPORT"] !== "socket";
    for (const { fast } of clients) assert.equal(fast, suited);
    assert.equal(scene.stderr, "");
  });

  it("stop on SIGTERM: 1001 to all, and status 0", async () => {
    await using scene = await WorkersProcess.start();
    const clients = await scene.clients(2);
    scene.signal("SIGTERM");
    for (const { connection } of clients) {
      const { code, wasClean } = await connection.closed;
      assert.deepEqual([code, wasClean], [1001, true]);
    }
    assert.equal(await scene.ended, 0);
    assert.deepEqual([scene.of("accepted").length, scene.of("over").length, scene.stderr], [2, 1, ""]);
    assert.ok(scene.of("ended").every(({ expected, exitCode }) => expected && exitCode === 0));
  });

  it("S5-3 let a hook that works finish, and its message leave, before they end", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    const file = join(folder, "go");
    await using scene = await WorkersProcess.start();
    const [{ connection }] = (await scene.clients(1)) as [Client];
    await connection.send(`await ${file}`);
    assert.equal(await connection.receive(), "working");
    scene.signal("SIGTERM");
    assert.equal(await connection.receive(), "draining");
    writeFileSync(file, "");
    assert.equal(await connection.receive(), "done");
    for await (const _ of connection);
    assert.equal((await connection.closed).code, 1001);
    assert.equal(await scene.ended, 0);
    rmSync(folder, { recursive: true });
  });

  it("drain when they are stopped one by one, and are replaced", async () => {
    await using scene = await WorkersProcess.start();
    const [one, two] = (await scene.clients(2)) as [Client, Client];
    process.kill(one.pid, "SIGTERM");
    assert.equal((await one.connection.closed).code, 1001);
    await scene.until(() => scene.of("serving").length === 3);
    assert.equal(scene.of("serving").at(-1)?.worker, 1);
    await echoed(two, "still here");
  });

  it("end when the first process does, even by SIGKILL", async () => {
    const scene = await WorkersProcess.start();
    const clients = await scene.clients(2);
    scene.signal("SIGKILL");
    await scene.ended;
    for (const { connection } of clients) await connection.closed;
  });

  it("that do not end are killed after stopTimeout", async () => {
    await using scene = await WorkersProcess.start({ stuck: true, stopTimeout: 100 });
    scene.signal("SIGTERM");
    assert.equal(await scene.ended, 0);
    assert.deepEqual(
      scene.of("killed").map(({ reason }) => reason),
      Array(2).fill("it did not end within stopTimeout of 100 ms"),
    );
  });

  it("are killed by a second signal", async () => {
    await using scene = await WorkersProcess.start({ stuck: true, stopTimeout: 1e9 });
    // Signals within a moment of the first may count as one with it.
    const again = setInterval(() => scene.signal("SIGINT"), 50);
    await scene.ended;
    clearInterval(again);
    assert.equal(scene.of("killed").length, 2);
  });
});

describe("a worker that is killed", POSIX, () => {
  it("is replaced under the same number, and the others' connections do not notice", async () => {
    await using scene = await WorkersProcess.start();
    const [one, two] = (await scene.clients(2)) as [Client, Client];
    process.kill(one.pid, "SIGKILL");
    assert.equal((await one.connection.closed).wasClean, false);
    await scene.until(() => scene.of("serving").length === 3);
    const [ended] = scene.of("ended");
    assert.deepEqual(
      [ended?.worker, ended?.pid, ended?.["signal"], ended?.["expected"]],
      [1, one.pid, "SIGKILL", false],
    );
    assert.equal(scene.of("serving").at(-1)?.worker, 1);
    await echoed(two, "still here");
    const [fresh] = (await scene.clients(2)) as [Client];
    assert.notEqual(fresh.pid, one.pid);
    // And it is a member of the shared room.
    await two.connection.send("room after all");
    assert.equal(await fresh.connection.receive(), "room after all");
  });

  it("is replaced again and again", async () => {
    await using scene = await WorkersProcess.start({ workers: 1 });
    for (let round = 1; round <= 3; round += 1) {
      process.kill(scene.of("serving").at(-1)?.pid as number, "SIGKILL");
      await scene.until(() => scene.of("serving").length === round + 1);
    }
    assert.equal(new Set(scene.of("serving").map(({ pid }) => pid)).size, 4);
  });
});

describe("a restart by SIGHUP", POSIX, () => {
  it("under load refuses no connection, and loses no accepted message", async () => {
    await using scene = await WorkersProcess.start();
    let over = false;
    let answers = 0;
    let moves = 0;
    const busy = async (): Promise<void> => {
      while (!over) {
        const { connection } = await scene.client();
        try {
          for (let number = 0; !over; number += 1) {
            await connection.send(`m${number}`);
            assert.equal(await connection.receive(), `m${number}`);
            answers += 1;
          }
          await connection.close();
        } catch (error) {
          assert.ok(error instanceof ClosedError, String(error));
          assert.deepEqual([error.closeCode, error.by], [1001, "peer"]);
          moves += 1;
        }
      }
    };
    // And clients that connect and end all the time.
    const fleeting = async (): Promise<void> => {
      while (!over) {
        const { connection } = await scene.client().catch((error: unknown) => {
          // It was accepted, and closed before the greeting.
          if (error instanceof ClosedError && error.closeCode === 1001) return { connection: undefined };
          throw error;
        });
        await connection?.close();
      }
    };
    const all = Promise.all([...Array.from({ length: 20 }, busy), ...Array.from({ length: 10 }, fleeting)]);
    // Failures of these clients are asserted at the end.
    all.catch(() => undefined);
    const old = scene.of("serving").map(({ pid }) => pid);
    for (let round = 1; round <= 2; round += 1) {
      scene.signal("SIGHUP");
      await scene.until(() => scene.of("ended").length === 2 * round);
    }
    over = true;
    await all;
    scene.signal("SIGTERM");
    assert.equal(await scene.ended, 0, scene.stderr);
    assert.equal(scene.of("serving").length, 6);
    assert.ok(scene.of("ended").every(({ expected, exitCode }) => expected && exitCode === 0));
    assert.ok(old.every((pid) => scene.of("ended").some((fact) => fact.pid === pid)));
    assert.ok(moves > 0 && answers > 0);
    assert.equal(
      scene.of("accepted").reduce((sum, { count }) => sum + Number(count), 0),
      answers,
    );
  });

  it("that fails leaves those that serve", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      const obstacle = join(folder, "obstacle");
      await using scene = await WorkersProcess.start({ obstacle });
      const clients = await scene.clients(2);
      writeFileSync(obstacle, "");
      scene.signal("SIGHUP");
      await scene.until(() => scene.of("ended").length === 1);
      assert.match(JSON.stringify(scene.of("failed")[0]), /"errno|there is an obstacle|WorkerError/);
      for (const client of clients) await echoed(client, "still here");
      rmSync(obstacle);
      scene.signal("SIGHUP");
      await scene.until(() => scene.of("ended").length === 3);
      assert.equal(scene.of("failed").length, 1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("workers that do not start to serve", POSIX, () => {
  const cases = {
    throw: /Cannot start worker [12]: no/,
    exit: /Cannot start worker [12]: it ended with status 7/,
    junk: /Cannot start worker [12]: Cannot use the result of work/,
    nothing: /Cannot start worker [12]: it did not serve within startTimeout of 500 ms/,
  } as const;
  for (const [instead, as] of Object.entries(cases)) {
    it(`fail the start, and none is left behind: ${instead}`, async () => {
      const startTimeout = instead === "nothing" ? 500 : 60_000;
      await using scene = new WorkersProcess({ workers: 2, startTimeout, instead: instead as keyof typeof cases });
      assert.equal(await scene.ended, 1);
      assert.match(scene.stderr, as);
      assert.deepEqual(scene.of("urls"), []);
    });
  }

  it("end by a signal as well", async () => {
    await using scene = new WorkersProcess({ workers: 2, instead: "nothing" });
    await scene.until(() => scene.of("begun").length === 2);
    scene.signal("SIGTERM");
    assert.equal(await scene.ended, 1);
    assert.match(scene.stderr, /Cannot start worker [12]: it was stopped/);
    assert.ok(scene.of("ended").every(({ expected }) => expected));
    assert.deepEqual(scene.of("killed"), []);
  });

  it("for a port that is in use say so", async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, "127.0.0.1", () => resolve((taken.address() as { port: number }).port));
    });
    try {
      await using scene = new WorkersProcess({ workers: 2, port });
      assert.equal(await scene.ended, 1);
      assert.match(scene.stderr, /WorkerError: Cannot start worker [12]: Cannot .*EADDRINUSE/);
      assert.match(scene.stderr, /errno: 'EADDRINUSE'/);
    } finally {
      taken.close();
    }
  });
});

describe("startWorkers", POSIX, () => {
  const door = new URL("../../src/workers/index.js", import.meta.url).href;

  /** The output of a program. */
  async function said(program: string): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      const file = join(folder, "program.mjs");
      writeFileSync(file, `import { startWorkers } from ${JSON.stringify(door)};\n${program}`);
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      return await new Promise((resolve) => {
        execFile(process.execPath, [file], { env }, (error, stdout, stderr) =>
          resolve(`${error ?? ""}${stdout}${stderr}`),
        );
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it("is refused in a worker of a cluster that this library did not start", async () => {
    const program = `
      import cluster from "node:cluster";
      if (cluster.isPrimary) cluster.fork();
      else await startWorkers(async () => []).catch(({ name, message }) => { console.log(name, message); process.exit(); });`;
    assert.equal(
      await said(program),
      "TypeError Cannot start workers: this process is a worker of a cluster that this library did not start\n",
    );
  });

  it("is refused while there are workers, and not when they have ended", async () => {
    const program = `
      const start = () => startWorkers({ workers: 1 }, async () => []);
      const first = await start();
      await start().catch(({ name }) => console.log(name));
      await first.stop();
      await (await start()).stop();
      console.log("over");`;
    assert.equal(await said(program), "TypeError\nover\n");
  });

  it("gives workers that can be restarted, and stopped in the middle of that", async () => {
    const program = `
      const facts = [];
      const observe = (event) => facts.push(event.type);
      const workers = await startWorkers({ workers: 2, observe }, async () => []);
      const [one, two, three] = [workers.restart(), workers.restart(), workers.restart()];
      await Promise.all([one, two, three]);
      const served = facts.filter((type) => type === "serving").length;
      const last = workers.restart();
      await workers.stop();
      await last;
      await workers.ended;
      console.log(two === three, served, facts.filter((type) => type === "killed" || type === "failed").length);`;
    assert.equal(await said(program), "true 6 0\n");
  });

  it("reports a worker that dies while it starts once, as failed", async () => {
    const program = `
      await startWorkers({ workers: 1 }, () => process.exit(7)).catch(({ message }) => console.log("rejected:", message));`;
    const all = await said(program);
    assert.match(all, /^rejected: Cannot start worker 1: it ended with status 7$/m);
    assert.equal(all.match(/^holdfast: /gm)?.length, 1, all);
    assert.doesNotMatch(all, /is replaced/);
  });

  it("continues if the watching function throws", async () => {
    const program = `
      process.on("warning", () => undefined);
      const observe = () => { throw new Error("no"); };
      const workers = await startWorkers({ workers: 1, observe }, async () => []);
      await workers.restart();
      await workers.stop();
      console.log("over");`;
    const all = await said(program);
    assert.match(all, /^over\n/);
    assert.match(all, /Warning|no/);
  });
});

describe("options of workers", LIMIT, () => {
  const work = async () => [];

  it("that cannot be are refused before anything is started", async () => {
    for (const workers of [0, -1, 1.5, Number.NaN, Infinity]) {
      await assert.rejects(startWorkers({ workers }, work), RangeError);
    }
    const wrong = [{ startTimeout: 0 }, { stopTimeout: -1 }, { maxQueuedBytes: 0 }, { maxQueuedMessages: 0.5 }];
    for (const options of wrong) await assert.rejects(startWorkers(options, work), RangeError);
    for (const options of [{ workers: "2" }, { startTimeout: "1" }, { worker: 2 }] as unknown as WorkersOptions[]) {
      await assert.rejects(startWorkers(options, work), TypeError);
    }
    await assert.rejects(startWorkers({}, undefined as never), TypeError);
  });
});
