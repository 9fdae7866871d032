/** Where each case of conformance stands in the table, by its file and its names: in which section, and against which peer. */

/** As Autobahn|Testsuite numbers and names them. */
const SECTIONS = {
  1: "framing",
  2: "pings and pongs",
  3: "reserved bits",
  4: "opcodes",
  5: "fragmentation",
  6: "UTF-8",
  7: "closing",
  9: "limits and performance",
  10: "automatic fragmentation",
  12: "compression by kind and size",
  13: "compression by parameters",
};

/** What RFC 6455, 7692, 9110 and 9112 demand and what is often not done; docs/conformance.md has them whole. */
const ROWS = {
  1: "GET, HTTP/1.1",
  2: "Host",
  3: "Connection, Upgrade",
  4: "key and version",
  5: "grammar of fields",
  6: "unknown versions",
  7: "426, 100-continue",
  8: "bodies",
  9: "framing of HTTP",
  10: "absolute-form",
  11: "fields of the answer",
  12: "Origin",
  13: "one opening at a time",
  14: "checks of a client",
  15: "reconnecting",
  16: "shortest length",
  17: "masks",
  18: "reserved bits, opcodes, lengths",
  19: "control frames inside messages",
  20: "pongs",
  21: "order of closing",
  22: "after failing",
  23: "codes and reasons",
  24: "masking keys",
  25: "limits",
  26: "UTF-8 at once",
  27: "offers and answers",
  28: "client_max_window_bits",
  29: "RSV1",
  30: "windows and contexts as agreed",
  31: "forms of deflate",
  32: "contexts taken over",
};

/** The place of the test `names`, its suites first, in `file` below tests. */
export function placeOf(file, names) {
  const [suite] = names;
  const title = names.at(-1);
  if (file.startsWith("interop/")) {
    const section = suite.includes(", compressed") ? "interop, compressed" : "interop";
    return { area: "interop", section, peer: peerOf(suite), name: names.join(" › ") };
  }
  if (/differential|wsproto/.test(file)) {
    const peer = suite.includes("wsproto") ? "wsproto" : "ws";
    return { area: "differential", section: "differential", peer, name: names.join(" › ") };
  }
  const row = names.map((name) => /^row (\d+)\b/.exec(name)?.[1]).find((number) => number !== undefined);
  if (row !== undefined) {
    return { area: "rfc", section: `RFC row ${row}: ${ROWS[row] ?? ""}`, peer: "raw bytes", name: names.join(" › ") };
  }
  const stage = /^as (server|client)( with hooks)?/.exec(suite)?.[0];
  const number = /^(\d+)\.\d+/.exec(title)?.[1];
  if (stage !== undefined && number !== undefined) {
    return { area: "sections", section: `${number} ${SECTIONS[number] ?? ""}`, peer: stage, name: title };
  }
  return { area: "rfc", section: "RFC, beyond the rows", peer: "raw bytes", name: names.join(" › ") };
}

/** "ws as client", whatever else is said of it. */
function peerOf(suite) {
  return suite.replace(/, (compressed|in one process).*| and the opening handshake$/, "");
}
