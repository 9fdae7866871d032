/** A program that connects, sends its second argument, and reads without end. s3-lost-peers.test.ts kills and stops it. */

import { connect } from "node:net";

const [, , port = "", said = ""] = process.argv;
const socket = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
socket.write(Buffer.from(said, "base64"));
socket.resume();
