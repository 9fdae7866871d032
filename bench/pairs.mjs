/** All runs of one work: ours and theirs in turn, so that what the machine does meanwhile falls on both. */

import { Missing } from "./build.mjs";
import { judge, ratiosOf, summary } from "./figures.mjs";
import { OURS, peerNamed } from "./peers.mjs";
import { Failed } from "./process.mjs";
import { runOnce } from "./run.mjs";

/** `say` is told what is under way. A peer that cannot take part is in `leftOut`, one that fails in `failed`. */
export async function measure(name, work, names, { runs, seconds, warmup }, say) {
  const ours = peerNamed(OURS);
  const field = names.filter((one) => one !== OURS).map(peerNamed);
  const pairs = Object.fromEntries(field.map((peer) => [peer.name, []]));
  const versions = {};
  const leftOut = {};
  const failed = {};
  const out = (peer) => Object.hasOwn(leftOut, peer.name) || Object.hasOwn(failed, peer.name);
  const own = { ...work, seconds: Math.max(work.seconds ?? 0, seconds) };

  const attempt = async (peer) => {
    try {
      // What a work sets in the environment is meant for us, and for us on the other transport.
      const theirs = peer.name.startsWith(OURS) ? own : { ...own, env: {} };
      const { lacks, version, figures } = await runOnce(theirs, peer, { seconds, warmup });
      if (lacks !== undefined) throw new Missing(`does not do ${lacks}`);
      versions[peer.name] = version;
      return figures;
    } catch (error) {
      if (error instanceof Missing || error.kind === "unsupported") leftOut[peer.name] = error.message;
      else if (error instanceof Failed) failed[peer.name] = `${error.kind}: ${error.message}`;
      else throw error;
      say(`${name}: ${peer.name} ${out(peer) && leftOut[peer.name] ? "is left out" : "failed"}: ${error.message}`);
      return undefined;
    }
  };

  const alone = [];
  for (let round = 0; round < runs && !out(ours); round++) {
    if (field.length === 0) {
      say(`${name}: ${round + 1} of ${runs}`);
      const figures = await attempt(ours);
      if (figures !== undefined) alone.push(figures);
    }
    for (const peer of field) {
      if (out(peer) || out(ours)) continue;
      say(`${name}: ${round + 1} of ${runs}, against ${peer.name}`);
      // Whoever comes second finds the machine warmer, or more tired.
      const order = round % 2 === 0 ? [ours, peer] : [peer, ours];
      const got = {};
      for (const one of order) {
        if (!out(one)) got[one.name] = await attempt(one);
      }
      const pair = { ours: got[ours.name], theirs: got[peer.name] };
      if (pair.ours !== undefined && pair.theirs !== undefined) pairs[peer.name].push(pair);
      else if (pair.ours !== undefined) alone.push(pair.ours);
    }
  }

  const present = field.filter((peer) => pairs[peer.name].length > 0);
  const against = Object.fromEntries(present.map((peer) => [peer.name, ratiosOf(pairs[peer.name])]));
  const ourRuns = [...alone, ...present.flatMap((peer) => pairs[peer.name].map((pair) => pair.ours))];
  const servers = { ...(ourRuns.length > 0 && { [OURS]: summary(ourRuns) }) };
  for (const peer of present) servers[peer.name] = summary(pairs[peer.name].map((pair) => pair.theirs));
  return {
    work: name,
    title: work.title,
    kind: work.kind ?? "echo",
    load: work.load,
    method: { runs, seconds: own.seconds, warmup },
    versions,
    servers,
    against,
    goals: judge(work.goals, { ours: ourRuns, against }),
    leftOut,
    failed,
    pairs: Object.fromEntries(present.map((peer) => [peer.name, pairs[peer.name]])),
    ...(alone.length > 0 && { alone }),
  };
}
