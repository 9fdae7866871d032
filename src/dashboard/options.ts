/** The options of the dashboard, and their defaults. */

import { type Complete, isObject, kindOf, present } from "../base/forms.ts";
import { judgeBoolean, judgeFunction, judgeNames, judgeNumber, judgeOptions, judgeString } from "../base/judge.ts";
import type { Clock } from "../core.ts";
import { Group } from "../group/group.ts";
import { Hub } from "../hub/hub.ts";
import { systemClock } from "../transport/clock.ts";

/** A request for the page, a table or the feed, as `authorize` gets it. */
export interface DashboardRequest {
  /** The path of the request, such as `/dashboard/feed`. */
  readonly path: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** The IP address of the socket; with `trustProxy` of the server that of the client. Empty on a unix socket. */
  readonly remoteAddress: string;
}

/** Options of `dashboard`. */
export interface DashboardOptions {
  /** The path of the page. The feed and the tables are below it. @default "/dashboard" */
  readonly path?: string | undefined;
  /**
   * A reader of the dashboard needs this token: a program sends `Authorization: Bearer TOKEN`; a browser opens the page once with
   * `?token=TOKEN` and gets a cookie for it. With a token the dashboard can be reached from other machines, so it must be one that
   * cannot be guessed: 16 or more visible ASCII characters, chosen at random. A shorter one is a RangeError.
   * @default none: only clients on this machine can read the dashboard
   */
  readonly token?: string | undefined;
  /**
   * Decides about each request for the page, a table or the feed, instead of `token`: for the application's own login. Only `true`
   * allows it. A rejection of its promise, or an error, refuses.
   */
  readonly authorize?: ((request: DashboardRequest) => boolean | Promise<boolean>) | undefined;
  /**
   * Names of this machine that may be in the field Host of a request, without a port, such as `admin.example.com`. IP addresses and
   * `localhost` always may. Other names are refused: a page of another site could have its name resolved to this machine (DNS
   * rebinding). @default []
   */
  readonly hosts?: readonly string[] | undefined;
  /** Whether connections can only be looked at: all actions are refused. @default false */
  readonly readOnly?: boolean | undefined;
  /** Most viewers at the same time, from 1 to 100. A further one is refused with 503. Each costs at most four updates a second. @default 8 */
  readonly maxViewers?: number | undefined;
  /** Groups to show, by the name that they have there. @default none */
  readonly groups?: Readonly<Record<string, Pick<Group<never>, "size">>> | undefined;
  /** Hubs whose topics are shown, by the name that they have there. @default none */
  readonly hubs?: Readonly<Record<string, Hub>> | undefined;
  /** Whether this process is one of several that serve the address: the page then says that it shows only one of them. @default false */
  readonly workers?: boolean | undefined;
  /** The clock of the samples, for tests. @default the system's */
  readonly clock?: Clock | undefined;
}

/** Complete and valid options. */
export type SettledDashboard = Complete<Omit<DashboardOptions, "token" | "authorize" | "groups" | "hubs">> &
  Pick<DashboardOptions, "token" | "authorize" | "groups" | "hubs">;

const DEFAULTS = {
  path: "/dashboard",
  token: undefined,
  authorize: undefined,
  hosts: Object.freeze([]),
  readOnly: false,
  maxViewers: 8,
  groups: undefined,
  hubs: undefined,
  workers: false,
  clock: systemClock,
} as const;

const MOST_VIEWERS = 100;

/** Validates and completes the options. Throws a TypeError or RangeError that says what was expected. */
export function settleDashboard(given: DashboardOptions): SettledDashboard {
  judgeOptions(given);
  const options: SettledDashboard = { ...DEFAULTS, ...present(given) };
  judgeNames(Object.keys(options), (name) => name in DEFAULTS);
  const { path, token, authorize, hosts, groups, hubs } = options;
  judgeString("path", path);
  if (!/^(\/[\w.~-]+)+$/.test(path))
    throw new TypeError(
      `Cannot use path ${JSON.stringify(path)}: expected one such as /dashboard or /admin/connections`,
    );
  if (token !== undefined) {
    judgeString("token", token);
    // Sixteen hexadecimal digits are 64 bits, which cannot be tried out over a network.
    if (!/^[\x21-\x7e]{16,}$/.test(token))
      throw new RangeError("Cannot use token: expected 16 or more visible ASCII characters");
  }
  if (authorize !== undefined) judgeFunction("authorize", authorize);
  if (authorize !== undefined && token !== undefined)
    throw new TypeError("Cannot use token with authorize: expected one of them");
  if (!Array.isArray(hosts)) throw new TypeError(`Cannot use hosts: expected a list of names, got ${kindOf(hosts)}`);
  for (const host of hosts) judgeString("hosts", host);
  for (const name of ["readOnly", "workers"] as const) judgeBoolean(name, options[name]);
  judgeNumber("maxViewers", options.maxViewers, { least: 1, most: MOST_VIEWERS, whole: true });
  judgeTable(
    "groups",
    "a group",
    groups,
    (one) => one instanceof Group || (isObject(one) && typeof one["size"] === "number"),
  );
  judgeTable("hubs", "a hub", hubs, (one) => one instanceof Hub);
  return options;
}

function judgeTable(name: string, expected: string, table: unknown, fits: (one: unknown) => boolean): void {
  if (table === undefined) return;
  judgeOptions(table, name);
  for (const [key, value] of Object.entries(table as Record<string, unknown>))
    if (!fits(value)) throw new TypeError(`Cannot use ${name}.${key}: expected ${expected}, got ${kindOf(value)}`);
}
