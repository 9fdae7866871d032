/** Prints how `connect` and `listen` end. It is run without the permission to use the network. */

import { connect, listen } from "../../src/index.ts";

for (const url of ["ws://127.0.0.1:9", "ws://localhost:9", "tcp://127.0.0.1:9"]) {
  await connect(url).catch(({ code, phase, cause }) => console.log(code, phase, cause.errno));
}
for (const url of ["ws://127.0.0.1:0", "tcp://127.0.0.1:0", "tcp+unix:///tmp/holdfast-forbidden.sock"]) {
  await listen(url, () => undefined).catch(({ code, errno }) => console.log(code, errno));
}
