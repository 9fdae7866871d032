/** Parses the output of `ss`: what the kernel knows about each TCP socket beyond the table in /proc. Pure functions. */

/** Facts of one socket, as the kernel counts them. Times are milliseconds. */
export interface TcpInfo {
  /** Since data was last sent, for the first time or again. */
  readonly lastSend: number;
  /** Since data was last received. */
  readonly lastReceive: number;
  /** Since the peer last acknowledged anything, new or not. */
  readonly lastAck: number;
  /** Smoothed round-trip time; undefined if none was measured. */
  readonly rtt: number | undefined;
  /** The shortest round-trip time of late. */
  readonly minRtt: number | undefined;
  /** Until unacknowledged data is sent again. It doubles with each retransmission. */
  readonly rto: number | undefined;
  /** How many times `rto` was doubled. */
  readonly backoff: number;
  /** Segments with data, each transmission counted. */
  readonly sentSegments: number;
  /** Segments that were sent again, without those that the peer reports to have received twice. */
  readonly resentSegments: number;
  readonly sentBytes: number;
  readonly resentBytes: number;
  readonly receivedBytes: number;
  /** Bytes that the peer can take at present; undefined if this version of ss does not report it. */
  readonly sendWindow: number | undefined;
}

/** One line of ss. */
export interface SsRow {
  /** As `addressKey` makes it. */
  readonly key: string;
  /** In the words of ss, such as `ESTAB`. */
  readonly state: string;
  readonly localPort: number;
  /** 0 if no process holds the socket, for example before it is accepted. */
  readonly inode: number;
  /** Undefined in states in which the kernel keeps none, such as TIME-WAIT. */
  readonly info: TcpInfo | undefined;
}

/** The addresses of a socket as one text. */
export function addressKey(local: string, localPort: number, remote: string, remotePort: number): string {
  return `${local}|${localPort}|${remote}|${remotePort}`;
}

// The kernel and ss decide how long a line is, apart from names of control groups. Most lines have about 600 characters.
const MAX_LINE = 8_192;

/**
 * The rows in the output of `ss -tanieH`. What is not of the known form is left out: a line, or a field. A field that is 0 is not
 * printed, and some versions of ss do not know a field: which of the two it is follows from the other rows for `snd_wnd` (iproute2
 * 5.19), and the other fields are older than Node 20.
 */
export function ssRows(text: string): SsRow[] {
  // Without -O, which came with iproute2 5.1, the facts follow on a line of their own that begins with white space.
  const lines = text.replace(/\n[\t ]+/g, " ").split("\n");
  const knowsWindow = text.includes(" snd_wnd:");
  return lines.flatMap((line) => rowOf(line, knowsWindow));
}

function rowOf(line: string, knowsWindow: boolean): SsRow[] {
  if (line.length > MAX_LINE) return [];
  const [state = "", , , localEnd = "", remoteEnd = "", ...fields] = line.split(/\s+/);
  const local = endOf(localEnd);
  const remote = endOf(remoteEnd);
  if (local === undefined || remote === undefined) return [];
  // The name of a control group may contain spaces, and so text that looks like a field. The inode is printed before it, all the
  // rest behind it.
  const inode = fields.find((field) => field.startsWith("ino:"))?.slice(4) ?? "";
  const named = new Map(fields.flatMap(fieldOf));
  const key = addressKey(local.host, local.port, remote.host, remote.port);
  return [{ key, state, localPort: local.port, inode: numberOf(inode) ?? 0, info: infoOf(named, knowsWindow) }];
}

function infoOf(fields: ReadonlyMap<string, string>, knowsWindow: boolean): TcpInfo | undefined {
  // Where ss may not ask the kernel, it reads /proc, and then it has none of these.
  if (!["segs_in", "segs_out", "lastsnd", "lastrcv", "lastack"].some((name) => fields.has(name))) return undefined;
  const number = (name: string): number | undefined => numberOf(fields.get(name) ?? "");
  const count = (name: string): number => number(name) ?? 0;
  const resent = numberOf(fields.get("retrans")?.split("/")[1] ?? "") ?? 0;
  return {
    ...{ lastSend: count("lastsnd"), lastReceive: count("lastrcv"), lastAck: count("lastack") },
    ...{ rtt: numberOf(fields.get("rtt")?.split("/")[0] ?? ""), minRtt: number("minrtt"), rto: number("rto") },
    ...{ backoff: count("backoff"), sentSegments: count("data_segs_out") },
    resentSegments: Math.max(0, resent - count("dsack_dups")),
    ...{ sentBytes: count("bytes_sent"), resentBytes: count("bytes_retrans"), receivedBytes: count("bytes_received") },
    sendWindow: number("snd_wnd") ?? (knowsWindow ? 0 : undefined),
  };
}

function fieldOf(field: string): [string, string][] {
  const at = field.indexOf(":");
  return at <= 0 ? [] : [[field.slice(0, at), field.slice(at + 1)]];
}

/** A count or a length of time, as printf's `%u` and `%g` print it. */
function numberOf(text: string): number | undefined {
  return /^\d{1,20}(\.\d{1,20})?(e\+?\d{1,2})?$/.test(text) ? Number(text) : undefined;
}

/** An address such as `127.0.0.1:80`, `127.0.0.1%lo:80`, `[::1]:80`, `[fe80::1]%eth0:80`; `*` is any address, or any port. */
function endOf(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, v6, v4, port = ""] = /^(?:\[([\da-f:.]+)\]|([\d.]+|\*))(?:%[^:]+)?:(\d{1,5}|\*)$/.exec(text) ?? [];
  const host = v6 ?? v4;
  return host === undefined ? undefined : { host: host === "*" ? "::" : host, port: port === "*" ? 0 : Number(port) };
}
