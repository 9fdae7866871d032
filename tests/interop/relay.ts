/** A relay that delivers a server's handshake and its first frame in one segment. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { FrameReader } from "../kit/frames.ts";

export interface Relay extends AsyncDisposable {
  readonly port: number;
}

/** Forwards to the server at `port`. The server's response is held until a whole frame follows it. */
export async function joining(port: number): Promise<Relay> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.push(socket);
      socket.setNoDelay(true).on("error", () => undefined);
    }
    client.pipe(upstream);
    let kept = Buffer.alloc(0);
    const keep = (chunk: Buffer): void => {
      kept = Buffer.concat([kept, chunk]);
      const head = kept.indexOf("\r\n\r\n");
      if (head >= 0 && new FrameReader().push(kept.subarray(head + 4)).length > 0) pass();
    };
    const pass = (): void => {
      upstream.off("data", keep).off("end", pass);
      client.write(kept);
      upstream.pipe(client);
    };
    // An earlier end is forwarded.
    upstream.on("data", keep).on("end", pass);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
