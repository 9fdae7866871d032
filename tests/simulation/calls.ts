/** Calls of the library, each recorded for the oracle: its start, its time limit, and its result. */

import { type SendOptions, TimeoutError, type WaitOptions } from "../../src/index.ts";
import type { End } from "./end.ts";
import type { World } from "./world.ts";

const LOSSY = ["drop-newest", "drop-oldest", "coalesce"];

/** A message as text: its bytes are Latin-1. */
export function textOf(data: string | Uint8Array): string {
  return typeof data === "string" ? data : Buffer.from(data).toString("latin1");
}

/** Waits, as an application that is busy. Does not return in a process that has ended. */
export async function pause(world: World, end: End, length: number): Promise<void> {
  do await world.loop.sleep(Math.max(length, 1));
  while (end.process.frozen);
  if (!end.process.alive) await new Promise(() => undefined);
}

/** Every third message is bytes, if the connection can tell bytes and text apart. */
function form(end: End, text: string): string | Uint8Array {
  return end.connection.kind === "tcp" || text.length % 3 !== 0 ? text : Buffer.from(text, "latin1");
}

/** Sends one message. Returns false if it was not accepted. */
export async function send(world: World, end: End, text: string, options: SendOptions = {}): Promise<boolean> {
  if (!end.process.alive || end.process.frozen) return false;
  const lossy = LOSSY.includes(options.overflow ?? end.limits.overflow);
  if ((options.overflow ?? end.limits.overflow) === "drop-oldest") end.mayDropOldest();
  const sent = end.sending(text, lossy);
  const call = { what: "send", since: world.loop.time, timeout: boundOf(options) };
  end.calls.add(call);
  world.oracle.reach.saw(`policy ${options.overflow ?? end.limits.overflow}`);
  try {
    await (options.timeout === undefined && options.overflow === undefined && options.deadline === undefined
      ? end.connection.send(form(end, text))
      : end.connection.send(form(end, text), options));
    end.accepted(sent);
    return true;
  } catch (error) {
    world.oracle.reach.saw(`send ${nameOf(error)}`);
    judgeTime(world, end, call, error);
    end.rejected(sent, error);
    return false;
  } finally {
    end.calls.delete(call);
  }
}

export function trySend(world: World, end: End, text: string): void {
  if (!end.process.alive || end.process.frozen) return;
  const lossy = LOSSY.includes(end.limits.overflow);
  const sent = end.sending(text, lossy);
  const lost = (): number => end.connection.droppedMessages + end.connection.refusedMessages;
  const before = lost();
  const result = end.connection.trySend(form(end, text));
  world.oracle.reach.saw(`trySend ${result}`);
  if (result === "refused") {
    sent.state = "rejected";
    end.counted += lost() - before;
  } else sent.state = "accepted";
}

/** Sends one message in parts. */
export async function write(world: World, end: End, parts: readonly string[], text: string): Promise<void> {
  if (!end.process.alive || end.process.frozen) return;
  const sent = end.sending(text, false, false);
  const call = { what: "writer", since: world.loop.time, timeout: Infinity };
  end.calls.add(call);
  try {
    const writer = end.connection.writer("text");
    for (const part of parts.slice(0, -1)) await writer.write(part);
    await writer.end(parts.at(-1));
    end.accepted(sent);
  } catch (error) {
    world.oracle.reach.saw(`writer ${nameOf(error)}`);
    // Parts may be on the wire.
    if (sent.state === "pending") sent.state = "in doubt";
    end.judgeReason("writer", error);
  } finally {
    end.calls.delete(call);
  }
}

/** Takes the next message. Undefined at the end, or after `timeout`. */
export async function take(world: World, end: End, options?: WaitOptions): Promise<string | undefined> {
  if (!end.process.alive) await new Promise(() => undefined);
  const call = { what: "receive", since: world.loop.time, timeout: boundOf(options) };
  end.calls.add(call);
  end.askingSince = world.loop.time;
  try {
    const data = await end.connection.receive(options);
    end.received(data);
    return typeof data === "string" ? data : Buffer.from(data).toString("latin1");
  } catch (error) {
    world.oracle.reach.saw(`receive ${nameOf(error)}`);
    judgeTime(world, end, call, error);
    end.judgeReason("receive", error);
    return undefined;
  } finally {
    end.askingSince = undefined;
    end.calls.delete(call);
  }
}

export async function ping(world: World, end: End, timeout: number): Promise<void> {
  const call = { what: "ping", since: world.loop.time, timeout };
  end.calls.add(call);
  try {
    const length = await end.connection.ping({ timeout });
    const passed = world.loop.time - call.since;
    if (Math.abs(length - passed) > 1)
      world.oracle.wrong("I1 round trip", `${end.name}: ${length} ms, but ${passed} ms passed`);
    world.oracle.reach.saw("ping");
  } catch (error) {
    world.oracle.reach.saw(`ping ${nameOf(error)}`);
    judgeTime(world, end, call, error);
    if (end.connection.kind === "websocket") end.judgeReason("ping", error);
  } finally {
    end.calls.delete(call);
  }
}

export async function drained(world: World, end: End, timeout: number): Promise<void> {
  const call = { what: "drain", since: world.loop.time, timeout };
  end.calls.add(call);
  try {
    await end.connection.drain({ timeout });
    if (end.connection.queuedMessages > 0 && end.connection.state === "OPEN")
      world.oracle.note(end.process.name, "drained, and more was sent");
  } catch (error) {
    world.oracle.reach.saw(`drain ${nameOf(error)}`);
    judgeTime(world, end, call, error);
    end.judgeReason("drain", error);
  } finally {
    end.calls.delete(call);
  }
}

/** The length of the bound of a call. */
function boundOf({ timeout, deadline }: WaitOptions = {}): number {
  const length = typeof deadline === "object" && "in" in deadline ? deadline.in : Infinity;
  return timeout ?? length;
}

/** A timeout of a call is never early. */
function judgeTime(
  world: World,
  end: End,
  { what, since, timeout }: { what: string; since: number; timeout: number },
  error: unknown,
): void {
  if (!(error instanceof TimeoutError)) return;
  // A deadline that has ended the connection may be that of another call.
  const own = error.limit === "deadline" ? end.connection.state === "OPEN" && !end.connection.signal.aborted : true;
  if (!own || (error.limit !== "deadline" && (error.limit !== "timeout" || error.bound !== timeout))) return;
  // A call behind the end gets the timeout of the call that has ended the connection.
  if (error === end.connection.signal.reason) return;
  if (world.loop.time - since < timeout - 1)
    world.oracle.wrong(
      `I5 timeout of ${what} too early`,
      `${end.name}: after ${world.loop.time - since} ms of ${timeout}`,
    );
}

function nameOf(error: unknown): string {
  if (error instanceof TimeoutError) return `TIMEOUT ${error.limit}`;
  return error instanceof Error && "code" in error ? String(error.code) : "other error";
}
