/** A program that connects, says what it is told, and reads for ever: to be killed and stopped. Run by `DistantPeer`. */

import { connect } from "node:net";

const [, , port = "", said = ""] = process.argv;
const socket = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
socket.write(Buffer.from(said, "base64"));
socket.resume();
