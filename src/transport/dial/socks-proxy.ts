/** Opens connections through a SOCKS5 proxy. */

import { HandshakeError } from "../../base/errors.ts";
import { isUrl, kindOf } from "../../base/forms.ts";
import { parseIp } from "../../base/ip-address.ts";
import {
  MAX_SOCKS_FIELD,
  type SocksAddress,
  SocksHandshake,
  type SocksRequest,
  type SocksStep,
} from "../../engine/handshake/socks5.ts";
import type { Duplex } from "../node-types.ts";
import type { DialDestination, Dialer } from "./dialer.ts";

const SCHEMES: readonly string[] = ["socks5:", "socks5h:"];
const DEFAULT_PORT = 1080;

/**
 * Returns a value of the option `dial`: connections are opened through a SOCKS5 proxy (RFC 1928), such as that of `ssh -D` or of Tor. The
 * proxy resolves the name of the server. TLS of `wss:` and `tls:` is between this side and the server, so the proxy cannot read it.
 *
 * `proxy` is a socks5: or socks5h: URL, as in `socks5://user:password@gateway.example:1080`; both mean the same. The port is 1080 by
 * default. Credentials are sent if the proxy asks for them (RFC 1929), without encryption. Throws TypeError for any other URL, and for a user
 * name or a password that is empty beside the other, or longer than 255 bytes.
 *
 * If the proxy refuses, or does not speak SOCKS5, `connect` rejects with a HandshakeError in phase `proxy` that says in words what
 * it answered. `openTimeout` includes the time of the proxy.
 *
 * @example
 * const connection = await connect("wss://example.com/live", { dial: socksProxy("socks5://127.0.0.1:1080") });
 */
export function socksProxy(proxy: string | URL): Dialer {
  const { host, port, login } = parseProxy(proxy);
  return async (destination, { open }) => {
    const request = { destination: addressOf(destination), port: destination.port, login };
    const stream = await open({ host, port });
    await shakeHands(stream, request);
    return stream;
  };
}

/** Resolves when the proxy has connected: then `stream` is that to the server, with the bytes that followed the answer. */
function shakeHands(stream: Duplex, request: SocksRequest): Promise<void> {
  const handshake = new SocksHandshake(request);
  return new Promise((resolve, reject) => {
    const end = (error: Error | undefined): void => {
      // Without this listener the stream is as it was: it flows when the connection reads it.
      stream.off("readable", read).off("end", closed).off("close", closed).off("error", end);
      if (error === undefined) resolve();
      else reject(error);
    };
    const closed = (): void => end(refusal("it closed the connection during the handshake"));
    const read = (): void => {
      let step: SocksStep;
      do {
        const bytes = stream.read() as Uint8Array | null;
        if (bytes === null) return;
        step = handshake.receive(bytes);
        if (step !== undefined && "send" in step) stream.write(step.send);
      } while (step === undefined || "send" in step);
      end("problem" in step ? refusal(step.problem) : undefined);
      if ("rest" in step && step.rest.length > 0) stream.unshift(step.rest);
    };
    stream.on("readable", read).on("end", closed).on("close", closed).on("error", end);
    stream.write(handshake.greeting);
  });
}

function refusal(problem: string): HandshakeError {
  return new HandshakeError({ problem: `the SOCKS proxy did not connect: ${problem}`, phase: "proxy" });
}

function addressOf({ host, socketPath }: DialDestination): SocksAddress {
  if (socketPath !== undefined) throw new TypeError("Cannot reach a unix socket through a proxy");
  // A zone names an interface of this machine.
  if (host.includes("%")) throw new TypeError("Cannot reach an address with a zone through a proxy");
  const address = parseIp(host);
  if (address !== undefined) return { address: Uint8Array.from(host.includes(":") ? address : address.slice(12)) };
  const name = Buffer.from(host);
  if (name.length <= MAX_SOCKS_FIELD) return { name };
  throw new TypeError(
    `Cannot reach a name of ${name.length} bytes through a SOCKS proxy: expected at most ${MAX_SOCKS_FIELD}`,
  );
}

/** Throws TypeError if `proxy` is not a socks5: or socks5h: URL without a path. */
function parseProxy(proxy: unknown): { host: string; port: number; login: SocksRequest["login"] } {
  if (typeof proxy !== "string" && !isUrl(proxy))
    throw new TypeError(`Cannot use proxy: expected a URL, got ${kindOf(proxy)}`);
  try {
    const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(String(proxy));
    const host = hostname.replace(/^\[|\]$/g, "");
    const bare = (pathname === "" || pathname === "/") && search + hash === "";
    const [user, word] = [username, password].map((text) => Buffer.from(decodeURIComponent(text))) as [Buffer, Buffer];
    const login = user.length + word.length === 0 ? undefined : ([user, word] as const);
    const fits = login === undefined || login.every(({ length }) => length > 0 && length <= MAX_SOCKS_FIELD);
    if (SCHEMES.includes(protocol) && host !== "" && bare && fits)
      return { host, port: port === "" ? DEFAULT_PORT : Number(port), login };
  } catch {
    // Reported below, without the value: it can contain a password.
  }
  throw new TypeError("Cannot use proxy: expected a URL such as socks5://user:password@gateway.example:1080");
}
