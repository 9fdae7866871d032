/**
 * Chat with rooms. A room lists its members (presence), and keeps its last messages for those who join later (history).
 *
 * Connect to ws://127.0.0.1:9000/rooms/tea?name=Ann and send text. The server sends events as JSON.
 */

import { type Connection, Group, listen, type MessageCodec } from "holdfast";

interface Said {
  readonly name: string;
  readonly text: string;
}

type RoomEvent =
  | { readonly event: "welcome"; readonly members: readonly string[]; readonly history: readonly Said[] }
  | { readonly event: "joined" | "left"; readonly name: string }
  | ({ readonly event: "said" } & Said);

type Member = Connection<string, string, RoomEvent>;

/** Members send texts, and receive events. */
const codec: MessageCodec<string, RoomEvent> = {
  encode: (event) => JSON.stringify(event),
  decode: (text) => String(text),
  messageType: "text",
};

/** The most messages that a room keeps. */
const HISTORY = 50;

class Room {
  readonly #members = new Group<Member, RoomEvent>({ codec });
  readonly #history: Said[] = [];

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  join(member: Member): void {
    this.#members.join(member);
    const members = [...this.#members].map(({ data }) => data);
    // Nothing happens between these calls, so the history has all messages that the group did not send to this member.
    member.trySend({ event: "welcome", members, history: this.#history });
    this.#send({ event: "joined", name: member.data }, member);
  }

  say(said: Said): void {
    this.#history.push(said);
    if (this.#history.length > HISTORY) this.#history.shift();
    this.#send({ event: "said", ...said });
  }

  leave(member: Member): void {
    this.#members.leave(member);
    this.#send({ event: "left", name: member.data });
  }

  /** Encodes the event once for all members. A member that reads too slowly is closed with 1013: it delays no other. */
  #send(event: RoomEvent, except?: Member): void {
    this.#members.send(event, { except });
  }
}

// Each room has a member, so there are never more rooms than connections.
const rooms = new Map<string, Room>();

const server = await listen(`ws://127.0.0.1:${process.env["PORT"] ?? 9000}`, { routes: {} });

server.route("/rooms/:room", {
  codec,
  maxMessageSize: 4_096,
  // Its result is `connection.data`, unless it is a Response, which refuses the connection.
  authorize: ({ query }) => {
    const name = new URLSearchParams(query).get("name") ?? "";
    return /^\w{1,20}$/.test(name) ? name : new Response("add ?name= with 1 to 20 letters\n", { status: 400 });
  },
  handler: async (connection, { params }) => {
    const room = rooms.get(params.room) ?? new Room();
    rooms.set(params.room, room);
    room.join(connection);
    try {
      for await (const text of connection) room.say({ name: connection.data, text });
    } finally {
      // However the connection has ended.
      room.leave(connection);
      if (room.isEmpty) rooms.delete(params.room);
    }
  },
});

console.log(`${server.url}/rooms/tea?name=Ann`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.close({ drain: 5_000 }));
