/** Deno as a client and as a server. */

import { obeying, tell } from "./line.ts";
import type { Order, Tell } from "./orders.ts";
import { sockets } from "./socket.ts";

interface DenoSocket extends EventTarget {
  binaryType: string;
  readonly protocol: string;
  readonly extensions: string;
}
interface DenoPlatform {
  readonly version: { readonly deno: string };
  serve(
    options: { readonly port: number; readonly hostname: string; readonly onListen: () => void },
    handler: (request: Request) => Response,
  ): { readonly addr: { readonly port: number } };
  upgradeWebSocket(
    request: Request,
    options: { readonly protocol?: string; readonly idleTimeout: number },
  ): { readonly socket: DenoSocket; readonly response: Response };
}
const { Deno } = globalThis as unknown as { readonly Deno: DenoPlatform };

const client = sockets(tell);
/** Accepted sockets, which carry out orders like connected ones. */
const accepted = new Map<number, (order: Order) => void>();

function serve({ subprotocols, greeting }: Order & { readonly do: "serve" }): void {
  const handler = (request: Request): Response => {
    const on = Number(new URL(request.url).pathname.slice(1));
    const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(/ *, */);
    const protocol = subprotocols.find((one) => offered.includes(one));
    const { socket, response } = Deno.upgradeWebSocket(request, {
      ...(protocol !== undefined && { protocol }),
      // Otherwise it sends Pings by itself.
      idleTimeout: 0,
    });
    const told: Tell = (one) => {
      // A server's socket does not report the negotiated extensions.
      if (!("on" in one) || one.told !== "open") return tell(one);
      tell({ ...one, subprotocol: protocol ?? "" });
    };
    const obey = sockets(told, () => socket);
    obey({ do: "dial", on, url: "", port: 0, subprotocols: [], deflate: false });
    accepted.set(on, obey);
    if (greeting !== null)
      socket.addEventListener("open", () => {
        obey({ do: "text", on, text: greeting });
      });
    return response;
  };
  const { addr } = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => undefined }, handler);
  tell({ told: "serving", port: addr.port });
}

await obeying(Deno.version.deno, (order) => {
  if (order.do === "serve") serve(order);
  else if (order.do === "dial") client(order);
  else (accepted.get(order.on) ?? client)(order);
});
