/** A program that speaks through Node's own WebSocket: it does what its arguments say, and prints what it is told. */

// The types of the oldest supported Node do not know it.
interface NativeSocket extends EventTarget {
  binaryType: string;
  readonly protocol: string;
  readonly extensions: string;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
}
interface NativeEvent extends Event {
  readonly data?: string | ArrayBuffer;
  readonly code?: number;
  readonly reason?: string;
  readonly wasClean?: boolean;
}
const { WebSocket } = globalThis as unknown as {
  WebSocket: new (url: string, protocols: readonly string[]) => NativeSocket;
};

const [url = "", protocols = "[]", script = "[]"] = process.argv.slice(2);
/** What to do when open, and one more after each message: send text, send a number of bytes, or close. */
const steps: (string | number | { readonly code?: number; readonly reason?: string })[] = JSON.parse(script);

const print = (told: unknown): void => console.log(JSON.stringify(told));
const socket = new WebSocket(url, JSON.parse(protocols));
socket.binaryType = "arraybuffer";

function step(): void {
  const next = steps.shift();
  if (typeof next === "string") socket.send(next);
  else if (typeof next === "number") socket.send(new Uint8Array(next).fill(0xa5));
  else if (next !== undefined)
    socket.close(...([next.code, next.reason].filter((part) => part !== undefined) as [number]));
}

socket.addEventListener("open", () => {
  print({ open: socket.protocol, extensions: socket.extensions });
  step();
});
socket.addEventListener("message", ({ data }: NativeEvent) => {
  const bytes = data instanceof ArrayBuffer ? Buffer.from(data) : undefined;
  print({ message: bytes ? { size: bytes.length, intact: bytes.every((byte) => byte === 0xa5) } : data });
  step();
});
socket.addEventListener("error", () => print({ error: true }));
socket.addEventListener("close", ({ code, reason, wasClean }: NativeEvent) =>
  print({ close: { code, reason, wasClean } }),
);
