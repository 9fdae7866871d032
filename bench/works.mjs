/**
 * The works: what is asked of every server, of whom, and what Holdfast is meant to reach.
 *
 * `load` are flags of the generator (bench/load/main.c). `goals` compare with one peer, or with a bound: `rate` is
 * messages per second, ours over theirs; `cpu` the server's processor time for a message, ours over theirs; `memory`
 * that of an idle connection, theirs over ours; without a peer it is our own figure that is bounded.
 */

const EVERYONE = [
  "ws",
  "bun",
  "net",
  "socket.io",
  "gorilla",
  "coder",
  "gws",
  "nbio",
  "tungstenite",
  "limit",
  "holdfast-socket",
];
const SPEAKERS = EVERYONE.filter((name) => name !== "net" && name !== "limit" && name !== "socket.io");
const AWAIT = { HOLDFAST_AWAIT: "1" };
const ATTACH = { HOLDFAST_SERVED: "attach" };
const SERVE = { HOLDFAST_SERVED: "serve" };
/** Of works for which Holdfast is attached to node:http, is the command, or uses TLS, as ws does beside it. */
const BESIDE = ["ws", "holdfast-socket"];

const idle = (load) => ({
  kind: "idle",
  load,
  warmup: 1,
  seconds: 1,
  peers: BESIDE,
  goals: [{ measure: "memory", peer: "ws", atLeast: 1 }],
});

export const WORKS = {
  echo: {
    title: "echo 64 B, 100 connections, 1 in flight",
    load: { connections: 100, size: 64 },
    peers: EVERYONE,
    goals: [
      { measure: "rate", peer: "ws", atLeast: 1.9 },
      { measure: "cpu", peer: "limit", atMost: 1.6 },
    ],
  },
  "echo-1000": {
    title: "echo 64 B, 1,000 connections, 1 in flight",
    load: { connections: 1000, size: 64 },
    peers: EVERYONE,
    goals: [
      { measure: "rate", peer: "ws", atLeast: 1.9 },
      { measure: "cpu", peer: "limit", atMost: 1.6 },
    ],
  },
  "echo-await": {
    title: "echo 64 B, 100 connections, 1 in flight, `for await` and awaited `send`",
    load: { connections: 100, size: 64 },
    env: AWAIT,
    peers: ["ws", "bun", "holdfast-socket"],
    goals: [{ measure: "rate", peer: "ws", atLeast: 1.5 }],
  },
  pipelined: {
    title: "echo 64 B, 50 connections, 64 in flight",
    load: { connections: 50, size: 64, inflight: 64 },
    peers: SPEAKERS,
    goals: [
      { measure: "rate", peer: "ws", atLeast: 15 },
      { measure: "rate", peer: "bun", atLeast: 1 },
    ],
  },
  "pipelined-await": {
    title: "echo 64 B, 50 connections, 64 in flight, `for await` and awaited `send`",
    load: { connections: 50, size: 64, inflight: 64 },
    env: AWAIT,
    peers: ["ws", "bun", "holdfast-socket"],
    goals: [{ measure: "rate", peer: "ws", atLeast: 8 }],
  },
  "echo-10000": {
    title: "echo 1 KiB, 10,000 connections, 1 in flight",
    load: { connections: 10_000, size: 1024 },
    peers: SPEAKERS,
    goals: [
      { measure: "cpu", peer: "gorilla", atMost: 1 },
      { measure: "cpu", peer: "nbio", atMost: 1 },
    ],
  },
  "echo-16KiB": {
    title: "echo 16 KiB, 20 connections, 1 in flight",
    load: { connections: 20, size: 16 * 1024 },
    peers: SPEAKERS,
    goals: [
      { measure: "rate", peer: "ws", atLeast: 4 },
      { measure: "rate", peer: "bun", atLeast: 1 },
    ],
  },
  "echo-1MiB": {
    title: "echo 1 MiB, 10 connections, 1 in flight",
    load: { connections: 10, size: 1024 * 1024 },
    peers: SPEAKERS,
    goals: [{ measure: "rate", peer: "ws", atLeast: 2 }],
  },
  broadcast: {
    title: "broadcast 64 B to 1,000 members, bursts of 16: deliveries",
    kind: "broadcast",
    load: { connections: 1000, size: 64, burst: 16 },
    peers: ["ws", "bun", "socket.io", "gorilla", "gws", "nbio", "holdfast-socket"],
    goals: [
      { measure: "rate", peer: "ws", atLeast: 20 },
      { measure: "rate", peer: "bun", atLeast: 1 },
    ],
  },
  "broadcast-slow": {
    title: "broadcast 64 B to 10,000 members, one at a time, 1 % of them not reading: deliveries",
    kind: "broadcast",
    load: { connections: 10_000, size: 64, slow: 100, stuff: 128 * 1024 },
    // The same without them, before it and on a server of its own: what they do to the others.
    beside: { slow: 0, stuff: 0 },
    peers: ["ws", "bun", "gorilla", "gws", "nbio", "holdfast-socket"],
    goals: [
      { measure: "rate", peer: "ws", atLeast: 2 },
      { measure: "tail", atMost: 1.5 },
    ],
  },
  deflate: {
    title: "echo 834 B of JSON with permessage-deflate, no takeover, 100 connections, 1 in flight",
    role: "deflate",
    load: { connections: 100, deflate: true, text: true, payload: "json" },
    peers: ["ws", "bun", "gorilla", "coder", "gws", "nbio", "holdfast-socket"],
    goals: [{ measure: "rate", peer: "ws", atLeast: 4 }],
  },
  handshakes: {
    title: "handshakes, 200 at a time",
    kind: "handshakes",
    role: "echo",
    load: { connections: 200 },
    peers: SPEAKERS.concat("socket.io"),
    goals: [{ measure: "rate", peer: "ws", atLeast: 2.5 }],
  },
  idle: {
    title: "15,000 idle connections, heartbeat and all timeouts on",
    kind: "idle",
    load: { connections: 15_000 },
    // A round of the heartbeat, which has 25 s, has to be among what is measured; and one before it, whose processor time is
    // half the compiler's and the collector's, after 15,000 handshakes in some seconds.
    warmup: 28,
    seconds: 25,
    peers: ["ws", "bun", "holdfast-socket"],
    goals: [
      { measure: "memory", atMost: 1200 },
      { measure: "memory", peer: "ws", atLeast: 4 },
      { measure: "share", atMost: 0.01 },
    ],
  },
  attach: {
    title: "attach to node:http: echo 64 B, 100 connections, 1 in flight",
    load: { connections: 100, size: 64 },
    env: ATTACH,
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 1.5 }],
  },
  "attach-await": {
    title: "attach to node:http: echo 64 B, 100 connections, 1 in flight, `for await` and awaited `send`",
    load: { connections: 100, size: 64 },
    env: { ...ATTACH, ...AWAIT },
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 1.2 }],
  },
  "attach-handshakes": {
    title: "attach to node:http: handshakes, 200 at a time",
    kind: "handshakes",
    role: "echo",
    load: { connections: 200 },
    env: ATTACH,
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 1 }],
  },
  "attach-idle": { title: "attach to node:http: 2,000 idle connections", ...idle({ connections: 2000 }), env: ATTACH },
  serve: {
    title: "`holdfast serve`: echo 64 B, 100 connections, 1 in flight",
    load: { connections: 100, size: 64, path: "/echo" },
    env: SERVE,
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 1.5 }],
  },
  "serve-pipelined": {
    title: "`holdfast serve`: echo 64 B, 50 connections, 64 in flight",
    load: { connections: 50, size: 64, inflight: 64, path: "/echo" },
    env: SERVE,
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 15 }],
  },
  "serve-16KiB": {
    title: "`holdfast serve`: echo 16 KiB, 20 connections, 1 in flight",
    load: { connections: 20, size: 16 * 1024, path: "/echo" },
    env: SERVE,
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 2.5 }],
  },
  wss: {
    title: "TLS: echo 64 B, 100 connections, 1 in flight",
    load: { connections: 100, size: 64, tls: true },
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 1.2 }],
  },
  "wss-pipelined": {
    title: "TLS: echo 64 B, 50 connections, 32 in flight",
    load: { connections: 50, size: 64, inflight: 32, tls: true },
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 3 }],
  },
  "wss-16KiB": {
    title: "TLS: echo 16 KiB, 20 connections, 1 in flight",
    load: { connections: 20, size: 16 * 1024, tls: true },
    peers: BESIDE,
    goals: [{ measure: "rate", peer: "ws", atLeast: 1.5 }],
  },
  "wss-idle": { title: "TLS: 2,000 idle connections", ...idle({ connections: 2000, tls: true }) },
  ...Object.fromEntries(
    ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"].map((policy) => [
      `stalled-${policy}`,
      {
        title: `64 peers that do not read, under a sender at full speed, overflow "${policy}": growth over the bound`,
        kind: "stalled",
        role: `flood:${policy}`,
        load: { connections: 64, slow: 64 },
        bound: 64 * 1024 * 1024,
        // ws has no policies; a program can do with it what "wait" does.
        peers: policy === "wait" ? ["ws", "holdfast-socket"] : ["holdfast-socket"],
        goals: [{ measure: "growth", atMost: 2 }],
      },
    ]),
  ),
};
