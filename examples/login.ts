/**
 * A line protocol on TCP with a login: a time limit for the login, a limit of attempts, and a last line for each way to end.
 *
 * Try: telnet 127.0.0.1 9000, then "login ann secret", "who", "quit".
 */

import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { type Connection, type ConnectionError, listen, TimeoutError } from "holdfast";

/** Milliseconds from accept to the end of the login. */
const LOGIN_TIME = Number(process.env["LOGIN_TIME"] ?? 30_000);
const ATTEMPTS = 3;

const derive = promisify<string, Buffer, number, Buffer>(scrypt);
const salt = randomBytes(16);
const hash = (password: string): Promise<Buffer> => derive(password, salt, 32);
const passwords = new Map([
  ["ann", await hash("secret")],
  ["ben", await hash("hunter2")],
]);
const noPassword = await hash(randomBytes(16).toString("hex"));

const users = new Map<Connection<unknown, string>, string>();

async function isPassword(name: string, password: string): Promise<boolean> {
  // An unknown name takes as much time as a known one, so the time does not reveal the names.
  const expected = passwords.get(name) ?? noPassword;
  return timingSafeEqual(await hash(password), expected);
}

/** Returns the name after a login, and undefined after too many wrong attempts. Rejects with TimeoutError at the deadline. */
async function login(connection: Connection<unknown, string>): Promise<string | undefined> {
  // One deadline for all lines of the login. A timeout would start again with each line.
  connection.setReadDeadline({ in: LOGIN_TIME });
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const [command, name = "", password = ""] = (await connection.receive()).split(" ");
    if (command === "login" && (await isPassword(name, password))) {
      connection.setReadDeadline(undefined);
      return name;
    }
    await connection.send("530 not logged in; expected: login NAME PASSWORD");
  }
  return undefined;
}

async function serve(connection: Connection<unknown, string>): Promise<void> {
  await connection.send("220 hello");
  let name: string | undefined;
  try {
    name = await login(connection);
  } catch (error) {
    // The connection is still open after a TimeoutError. After any other error it is not.
    if (!(error instanceof TimeoutError)) throw error;
    return connection.send("421 too slow");
  }
  if (name === undefined) return connection.send("421 too many attempts");
  users.set(connection, name);
  try {
    await connection.send(`230 welcome, ${name}`);
    for await (const command of connection) {
      if (command === "quit") return await connection.send("221 bye");
      if (command === "who") await connection.send(`200 ${[...users.values()].join(" ")}`);
      else await connection.send("500 expected: who or quit");
    }
  } finally {
    users.delete(connection);
  }
}

/** The last line for a client that this server disconnects. TCP has no close code that could tell the cause. */
function farewell(cause: ConnectionError): string {
  if (cause.code === "LIMIT") return cause.limit === "maxConnections" ? "421 the server is full" : "500 line too long";
  if (cause.code === "CLOSED" && cause.closeCode === 1001) return "421 the server is closing";
  return cause.code === "TIMEOUT" ? "421 no command for too long" : "451 internal error";
}

const server = await listen(
  `tcp://127.0.0.1:${process.env["PORT"] ?? 9000}`,
  { framing: { eol: "\r\n" }, maxMessageSize: 512, maxConnections: 100, idleTimeout: 300_000, farewell },
  serve,
);
console.log(server.url);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.close({ drain: 5_000 }));
