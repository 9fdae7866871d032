/** The table of all commands. A new command is one entry here. */

import type { Command } from "./command.ts";
import type { Manual } from "./manual.ts";

interface Entry {
  /** What the command does, in the list of all commands: a phrase without a full stop. */
  readonly summary: string;
  /** Loads the code of the command. Only the command that runs is loaded, so that help and errors appear at once. */
  readonly load: () => Promise<Command>;
}

/** In the order of the help. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  serve: {
    summary: "serves WebSocket echo and chat, TCP echo of lines, and a page that uses them",
    load: async () => (await import("./serve/serve.ts")).serveCommand,
  },
  connect: {
    summary: "opens a WebSocket or TCP connection, to talk to a server from a terminal or a script",
    load: async () => (await import("./connect/connect.ts")).connectCommand,
  },
  bench: {
    summary: "measures a server under load, and checks what it answers",
    load: async () => (await import("./bench/bench.ts")).benchCommand,
  },
  doctor: {
    summary: "reports faults of the sockets of a process, or of a server at a URL and of the proxies before it",
    load: async () => (await import("./doctor/doctor.ts")).doctorCommand,
  },
  top: {
    summary: "shows a sorted table of the connections of a process or server, live on a terminal",
    load: async () => (await import("./top/top.ts")).topCommand,
  },
  chaos: {
    summary: "runs a proxy that causes network faults, for tests of any program that uses TCP",
    load: async () => (await import("./chaos/chaos.ts")).chaosCommand,
  },
  completion: {
    summary: "prints a script that completes command lines in bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completionCommand(manuals),
  },
};

/** Each command with its manual. Loads the code of all commands. */
export async function manuals(): Promise<
  Readonly<Record<string, { readonly summary: string; readonly manual: Manual }>>
> {
  const listed = Object.entries(COMMANDS).map(
    async ([name, { summary, load }]) => [name, { summary, manual: (await load()).manual }] as const,
  );
  return Object.fromEntries(await Promise.all(listed));
}
