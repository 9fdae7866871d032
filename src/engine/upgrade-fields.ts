/** What a request says of its upgrade: the fields that have a say in it, read in one pass, as a server does for each client. */

import { isFieldValue, isToken } from "./header.js";

/** Each as its lines joined to one list (RFC 9110 section 5.3); undefined if there is none. */
export class UpgradeFields {
  host: string | undefined;
  /** How many lines said so: no list of them means one. */
  hosts = 0;
  upgrade: string | undefined;
  connection: string | undefined;
  key: string | undefined;
  version: string | undefined;
  protocol: string | undefined;
  extensions: string | undefined;
  origin: string | undefined;
  expect: string | undefined;
  contentLength: string | undefined;
  transferEncoding: string | undefined;

  /** Takes one line; false if its name has no say. */
  take(name: string, value: string): boolean {
    // By its length alone, most of the other fields are told from these.
    if (!LENGTHS.has(name.length)) return false;
    switch (name.toLowerCase()) {
      case "host":
        this.hosts += 1;
        this.host = joined(this.host, value);
        return true;
      case "upgrade":
        this.upgrade = joined(this.upgrade, value);
        return true;
      case "connection":
        this.connection = joined(this.connection, value);
        return true;
      case "sec-websocket-key":
        this.key = joined(this.key, value);
        return true;
      case "sec-websocket-version":
        this.version = joined(this.version, value);
        return true;
      case "sec-websocket-protocol":
        this.protocol = joined(this.protocol, value);
        return true;
      case "sec-websocket-extensions":
        this.extensions = joined(this.extensions, value);
        return true;
      case "origin":
        this.origin = joined(this.origin, value);
        return true;
      case "expect":
        this.expect = joined(this.expect, value);
        return true;
      case "content-length":
        this.contentLength = joined(this.contentLength, value);
        return true;
      case "transfer-encoding":
        this.transferEncoding = joined(this.transferEncoding, value);
        return true;
      default:
        return false;
    }
  }
}

const LENGTHS: ReadonlySet<number> = new Set([4, 6, 7, 10, 14, 17, 21, 22, 24]);

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

/** `raw` is a request's fields as node:http gives them: name, value, name, value. Undefined if one is malformed. */
export function upgradeFields(raw: readonly string[]): UpgradeFields | undefined {
  const fields = new UpgradeFields();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string;
    const value = raw[index + 1] as string;
    if (!isFieldValue(value) || !(fields.take(name, value) || isToken(name))) return undefined;
  }
  return fields;
}
