/**
 * Incidents that are made with `holdfast chaos` between real clients and real servers: a real Prometheus scrapes the servers, and each
 * rule fires for the server with its incident, and for no other. Every query of the dashboard has an answer there.
 */

import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, connect } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { found, needed, PROMETHEUS } from "../kit/foreign-programs.ts";
import { SOCKETS_SKIP } from "../kit/kernel-sockets.ts";
import { Prometheus } from "../kit/prometheus.ts";
import { RawPeer } from "../kit/raw-peer.ts";
import { portIn, ServeProcess } from "../kit/serve-process.ts";
import { type AlertRule, type AlertWindows, alertRules, rulesFile } from "./alerts.ts";
import { PANEL_ROWS } from "./panels.ts";

/** The rules that the package has, in seconds instead of minutes. A window holds a few scrapes, of which some may be late. */
const SHORT_WINDOWS: AlertWindows = {
  ...{ storm: "5s", usual: "20s", usualBefore: "12s", usualStep: "1s", returning: 8, stormFor: "2s" },
  ...{ lost: "15s", slowFor: "2s" },
  ...{ notClosed: "5s", notClosedFor: "2s" },
  ...{ ends: "20s", vanishFor: "2s" },
};

// More than the kernels hold for a peer that does not read, so that a part stays in the send queue.
const SLOW_MESSAGE = 8 * 1_048_576;

const APPLICATION = fileURLToPath(new URL("application-program.js", import.meta.url));

/** `holdfast chaos` before a server. */
class Chaos implements AsyncDisposable {
  readonly #process: ServeProcess;

  private constructor(to: number) {
    this.#process = new ServeProcess(["chaos", "--to", `127.0.0.1:${to}`, "--control", "0", "--json"]);
  }

  static async before(url: string | undefined): Promise<Chaos> {
    const chaos = new Chaos(portIn(url));
    await chaos.#process.until((text) => text.includes("\n"));
    return chaos;
  }

  get #told(): { readonly address: string; readonly control: string } {
    return JSON.parse(this.#process.stdout);
  }

  get port(): number {
    return Number(this.#told.address.split(":")[1]);
  }

  async post(path: string, body: object = {}): Promise<void> {
    const headers = { "Content-Type": "application/json" };
    const { ok } = await fetch(`${this.#told.control}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    assert.ok(ok, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** A client of `url` that ends by no limit of its own. */
const patient = (url: string): Promise<Connection> =>
  connect(url, {
    ...{ heartbeat: false, idleTimeout: Infinity, writeTimeout: Infinity, maxConnecting: Infinity },
    ...{ maxMessageSize: SLOW_MESSAGE, maxQueuedBytes: 2 * SLOW_MESSAGE },
    message: () => undefined,
  });

describe("a Prometheus", { skip: SOCKETS_SKIP, timeout: 240_000, concurrency: true }, () => {
  const opened: AsyncDisposable[] = [];
  const ending = new AbortController();
  const lives: Promise<void>[] = [];
  let prometheus: Prometheus | undefined;
  // One for each incident, so that every rule sees servers without its own.
  let storm: ServeProcess;
  let slow: ServeProcess;
  let vanish: ServeProcess;
  let application: { readonly ws: string; readonly leaking: string };

  before(async () => {
    const program = found(PROMETHEUS);
    if (program === undefined) return;
    const serve = async (...flags: readonly string[]): Promise<ServeProcess> => {
      const serving = await ServeProcess.start("--no-tcp", ...flags);
      opened.push(serving);
      return serving;
    };
    const running = new ChildProgram(APPLICATION);
    opened.push(running);
    [storm, slow, vanish] = await Promise.all([
      serve(),
      serve("--max-message-size", `${SLOW_MESSAGE}`),
      serve("--workers", "1"),
    ]);
    application = JSON.parse(await running.line());
    const urls = {
      storm: storm.http,
      slow: slow.http,
      vanish: vanish.http,
      leak: application.ws.replace("ws", "http"),
    };
    const jobs = Object.fromEntries(Object.entries(urls).map(([job, url]) => [job, new URL(url).host]));
    const rules = rulesFile(alertRules(SHORT_WINDOWS));
    prometheus = await Prometheus.start(program, { jobs, interval: "1s", rules });
    opened.push(prometheus);
  });

  after(async () => {
    ending.abort();
    await Promise.all(opened.map((one) => one[Symbol.asyncDispose]()));
    await Promise.all(lives);
  });

  /** Undefined where there is no Prometheus: then `t` is skipped. */
  function running(t: TestContext): Prometheus | undefined {
    return needed(t, PROMETHEUS) === undefined ? undefined : prometheus;
  }

  async function chaosBefore(url: string): Promise<Chaos> {
    const chaos = await Chaos.before(url);
    opened.push(chaos);
    return chaos;
  }

  /** Keeps `count` connections open until the end of the tests. */
  function connectAgain(count: number, url: string, use: (client: Connection) => void = () => undefined): void {
    const life = async (): Promise<void> => {
      while (!ending.signal.aborted) {
        const client = await patient(url).catch(() => undefined);
        if (client !== undefined) use(client);
        await client?.closed;
      }
    };
    lives.push(...Array.from({ length: count }, life));
  }

  /** Waits until `alert` fires, and checks that it is for `job` only. */
  async function fires(scraping: Prometheus, alert: AlertRule["alert"], job: string): Promise<void> {
    const jobs = await scraping.until(async () => {
      const firing = await scraping.firing(alert);
      return firing.length > 0 ? firing : undefined;
    });
    assert.deepEqual(jobs, [job]);
  }

  it("fires ReconnectStorm while connections are reset again and again", async (t) => {
    const scraping = running(t);
    if (scraping === undefined) return;
    const chaos = await chaosBefore(storm.http);
    await using _usual = await connect(`${storm.addresses.ws}/echo`);
    // Not before the rule has seen what is usual.
    await scraping.until(async () => {
      const seen = await scraping.query(`count_over_time(up{job="storm"}[1m]) > 5`);
      return seen.length > 0 ? true : undefined;
    });
    await chaos.post("/faults", { resetRate: 1 });
    // Clients as they should not be: they connect again at once.
    connectAgain(50, `ws://127.0.0.1:${chaos.port}/echo`);
    await fires(scraping, "ReconnectStorm", "storm");
  });

  it("fires SlowConsumers while clients do not read what they have asked for", async (t) => {
    const scraping = running(t);
    if (scraping === undefined) return;
    const chaos = await chaosBefore(slow.http);
    // The answer to the upgrade passes, and of the message hardly anything.
    await chaos.post("/faults", { bandwidth: 200, direction: "to-client" });
    const message = new Uint8Array(SLOW_MESSAGE);
    const clients = 4;
    connectAgain(clients, `ws://127.0.0.1:${chaos.port}/echo`, (client) => {
      void client.send(message).catch(() => undefined);
    });
    const fired = new AbortController();
    // Each time the server has ended all of them, after its writeTimeout, they come back.
    const rounds = async (): Promise<void> => {
      for (let ended = clients; !fired.signal.aborted; ended += clients) {
        const query = `holdfast_connections_closed_total{job="slow",cause="writeTimeout"} >= ${ended}`;
        await scraping.until(async () => {
          return fired.signal.aborted || (await scraping.query(query)).length > 0 ? true : undefined;
        });
        await chaos.post("/reset");
      }
    };
    const coming = rounds();
    await fires(scraping, "SlowConsumers", "slow");
    fired.abort();
    await coming;
  });

  it("fires ConnectionsNotClosed while a server does not close what its peers have ended", async (t) => {
    const scraping = running(t);
    if (scraping === undefined) return;
    const chaos = await chaosBefore(application.leaking);
    for (let count = 0; count < 15; count += 1) opened.push(await RawPeer.to(chaos.port));
    // The proxy has connected to the server, too.
    await scraping.until(async () => {
      const open = await scraping.query(`holdfast_connections{job="leak",protocol="tcp",state="open"} >= 15`);
      return open.length > 0 ? true : undefined;
    });
    await chaos.post("/fin");
    await fires(scraping, "ConnectionsNotClosed", "leak");
  });

  it("fires PeersVanish when clients are gone without a FIN", async (t) => {
    const scraping = running(t);
    if (scraping === undefined) return;
    const chaos = await chaosBefore(vanish.http);
    const clients = await Promise.all(Array.from({ length: 15 }, () => patient(`ws://127.0.0.1:${chaos.port}/echo`)));
    await chaos.post("/faults", { blackhole: true });
    await fires(scraping, "PeersVanish", "vanish");
    for (const client of clients) client.terminate();
  });

  it("has an answer in finite numbers for each query of the dashboard", async (t) => {
    const scraping = running(t);
    if (scraping === undefined) return;
    const values = { job: ".+", instance: ".+", quantile: "0.99", __rate_interval: "5s" };
    const queries = PANEL_ROWS.flatMap(({ panels }) =>
      panels.flatMap((panel) => panel.queries.map(({ expr }) => expr)),
    );
    let open: readonly string[] = queries;
    assert.ok(open.length > 40);
    await scraping.until(async () => {
      const answered = await Promise.all(
        open.map(async (query) => {
          const samples = await scraping.query(query.replaceAll(/\$(\w+)/g, (_, name: "job") => values[name]));
          return samples.length > 0 && samples.every(({ value }) => Number.isFinite(value));
        }),
      );
      open = open.filter((_, index) => !answered[index]);
      return open.length === 0 ? true : undefined;
    });
  });
});
