/** Collects the header fields that matter for an upgrade in one pass, because a server does this for each client. */

import { isFieldValue, isToken } from "./header.ts";

/**
 * The values of the fields. The lines of one field are joined to one list (RFC 9110 section 5.3). Undefined if a field is
 * missing.
 */
export class UpgradeFields {
  host: string | undefined;
  /** The number of Host lines. Only one is allowed, and the joined value does not show the number. */
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

  /** Adds one field line. Returns false if the field does not matter for an upgrade. */
  add(name: string, value: string): boolean {
    // The length of the name alone excludes most other fields.
    if (!NAME_LENGTHS.has(name.length)) return false;
    switch (name.toLowerCase()) {
      case "host":
        this.hosts += 1;
        this.host = appended(this.host, value);
        return true;
      case "upgrade":
        this.upgrade = appended(this.upgrade, value);
        return true;
      case "connection":
        this.connection = appended(this.connection, value);
        return true;
      case "sec-websocket-key":
        this.key = appended(this.key, value);
        return true;
      case "sec-websocket-version":
        this.version = appended(this.version, value);
        return true;
      case "sec-websocket-protocol":
        this.protocol = appended(this.protocol, value);
        return true;
      case "sec-websocket-extensions":
        this.extensions = appended(this.extensions, value);
        return true;
      case "origin":
        this.origin = appended(this.origin, value);
        return true;
      case "expect":
        this.expect = appended(this.expect, value);
        return true;
      case "content-length":
        this.contentLength = appended(this.contentLength, value);
        return true;
      case "transfer-encoding":
        this.transferEncoding = appended(this.transferEncoding, value);
        return true;
      default:
        return false;
    }
  }
}

const NAME_LENGTHS: ReadonlySet<number> = new Set([4, 6, 7, 10, 14, 17, 21, 22, 24]);

function appended(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

/** Collects the fields. `raw` has the form of node:http: name, value, name, value. Returns undefined if a field is malformed. */
export function upgradeFields(raw: readonly string[]): UpgradeFields | undefined {
  const fields = new UpgradeFields();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string;
    const value = raw[index + 1] as string;
    if (!isFieldValue(value) || !(fields.add(name, value) || isToken(name))) return undefined;
  }
  return fields;
}
