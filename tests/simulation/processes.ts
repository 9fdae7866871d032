/** What happens to whole processes: they freeze, die and start again. */

import { serve } from "./server-roles.ts";
import type { Machine, World } from "./world.ts";

export function freeze(machine: Machine): void {
  if (!machine.alive) return;
  machine.frozen = true;
  machine.host.freeze();
}

export function thawAll(world: World): void {
  for (const machine of world.machines.values()) {
    if (!machine.alive || !machine.frozen) continue;
    machine.frozen = false;
    machine.thawedAt = world.loop.time;
    machine.host.thaw();
  }
}

export function kill(world: World, machine: Machine, how: "kill" | "crash"): void {
  if (!machine.alive) return;
  machine.alive = false;
  world.oracle.note(machine.name, how);
  machine.host[how]();
}

export function restartIfDead(world: World, machine: Machine): void {
  if (machine.alive) return;
  world.restart(machine.name);
  if (machine.name === "server") void serve(world);
}
