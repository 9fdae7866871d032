/** Node's permission model: whether this process may use the network (Node 25 and later, `--permission`). */

import process from "node:process";

interface Permission {
  has(scope: string): boolean;
}

/**
 * False if Node forbids the network. Call it before `listen`: with a host, Node throws its refusal outside of every call, which
 * ends the process. Node versions before 25 answer false for a scope that they do not know, so the flag is checked too.
 */
export function networkPermitted(): boolean {
  // The types of the oldest supported Node lack the property. It is undefined without `--permission`.
  const { permission } = process as { readonly permission?: Permission };
  return permission === undefined || permission.has("net") || !process.allowedNodeEnvironmentFlags.has("--allow-net");
}
