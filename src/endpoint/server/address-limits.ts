/** Limits the connections and the handshakes of each client address. */

import { LimitError } from "../../base/errors.ts";
import { present } from "../../base/forms.ts";
import { networkOfClient } from "../../base/ip-address.ts";
import { COUNT, judgeNames, judgeNumber, judgeOptions } from "../../base/judge.ts";
import { after, type Clock, type Instant, reached, type Wakeup } from "../../base/time.ts";
import { ListLink } from "../../engine/queue/intrusive-list.ts";
import { FILL_TIME, TokenBucket } from "../../engine/time/token-bucket.ts";
import { withoutStack } from "../../transport/errors-without-stack.ts";
import { type PerAddressOptions, SERVER_DEFAULTS } from "../options.ts";

/**
 * The number of addresses without a connection that are remembered until their buckets are full. Beyond it, the one whose last
 * connection ended first is forgotten early: its next handshakes find a full bucket, at most a second too soon.
 */
export const MAX_IDLE_ADDRESSES = 16_384;

/** How long a client should wait that has too many connections, in seconds: as at `maxConnections`. */
const RETRY_AFTER = 5;

/** The place of a request or connection among those of its address. `release` must be called once, at its end. */
export interface AddressPlace {
  release(): void;
}

/** A request or connection for which its address has no place. */
export interface AddressRefusal {
  readonly cause: LimitError;
  readonly detail: string;
  /** How long the client should wait, in seconds. */
  readonly retryAfter: number;
}

/** An address with connections, or with a bucket that may not be full. In the list of idle addresses it has no connections. */
class ClientAddress extends ListLink implements AddressPlace {
  readonly key: string;
  readonly bucket: TokenBucket | undefined;
  connections = 0;
  /** When the last connection ended. */
  idleAt: Instant;
  readonly #limits: AddressLimits;

  constructor(key: string, bucket: TokenBucket | undefined, now: Instant, limits: AddressLimits) {
    super();
    this.key = key;
    this.bucket = bucket;
    this.idleAt = now;
    this.#limits = limits;
  }

  release(): void {
    this.connections -= 1;
    if (this.connections === 0) this.#limits.idle(this);
  }
}

export class AddressLimits {
  readonly #connections: number;
  readonly #handshakes: number;
  readonly #clock: Clock;
  readonly #addresses = new Map<string, ClientAddress>();
  /** The addresses without connections, in the order in which their last connection ended. */
  readonly #idle = new ListLink();
  #idleCount = 0;
  #wakeup: Wakeup | undefined;

  private constructor(connections: number, handshakes: number, clock: Clock) {
    this.#connections = connections;
    this.#handshakes = handshakes;
    this.#clock = clock;
  }

  /** Returns undefined if there is no limit. Throws TypeError or RangeError for an invalid option. */
  static of(given: PerAddressOptions | undefined, clock: Clock): AddressLimits | undefined {
    if (given === undefined) return undefined;
    judgeOptions(given, "perAddress");
    const settings = { ...SERVER_DEFAULTS.perAddress, ...present(given) };
    judgeNames(Object.keys(settings), (name) => name in SERVER_DEFAULTS.perAddress, "perAddress.");
    const { connections, handshakes } = settings;
    judgeNumber("perAddress.connections", connections, COUNT);
    judgeNumber("perAddress.handshakes", handshakes, COUNT);
    if (connections === Infinity && handshakes === Infinity) return undefined;
    return new AddressLimits(connections, handshakes, clock);
  }

  /** The number of addresses in memory. */
  get size(): number {
    return this.#addresses.size;
  }

  /** Takes a place for a request or connection. Undefined without an address, as on a unix socket: then there is no limit. */
  take(remoteAddress: string): AddressPlace | AddressRefusal | undefined {
    if (remoteAddress === "") return undefined;
    const key = networkOfClient(remoteAddress);
    const now = this.#clock.now();
    const address = this.#addresses.get(key) ?? this.#create(key, now);
    if (address.connections >= this.#connections)
      return refusal("perAddress.connections", this.#connections, key, RETRY_AFTER);
    const { bucket } = address;
    if (bucket?.take(now) === false)
      return refusal("perAddress.handshakes", this.#handshakes, key, Math.max(1, Math.ceil(bucket.wait / 1_000)));
    if (address.connections === 0) this.#endIdle(address);
    address.connections += 1;
    return address;
  }

  /** Called when the last connection of an address has ended. */
  idle(address: ClientAddress): void {
    if (address.bucket === undefined) {
      this.#addresses.delete(address.key);
      return;
    }
    address.idleAt = this.#clock.now();
    this.#idle.append(address);
    this.#idleCount += 1;
    if (this.#idleCount > MAX_IDLE_ADDRESSES) this.#forget(this.#idle.next as ClientAddress);
    this.#arm();
  }

  #create(key: string, now: Instant): ClientAddress {
    const bucket = this.#handshakes === Infinity ? undefined : new TokenBucket(this.#handshakes, now);
    const address = new ClientAddress(key, bucket, now, this);
    this.#addresses.set(key, address);
    return address;
  }

  #endIdle(address: ClientAddress): void {
    if (address.next === address) return;
    address.unlink();
    this.#idleCount -= 1;
  }

  #forget(address: ClientAddress): void {
    this.#endIdle(address);
    this.#addresses.delete(address.key);
  }

  #arm(): void {
    if (this.#wakeup !== undefined || this.#idleCount === 0) return;
    const { idleAt } = this.#idle.next as ClientAddress;
    this.#wakeup = this.#clock.wakeAt(after(idleAt, FILL_TIME), this.#forgetFull);
  }

  /** No token was taken since an address became idle. So its bucket is full after the time that an empty one needs. */
  readonly #forgetFull = (now: Instant): void => {
    this.#wakeup = undefined;
    while (this.#idleCount > 0) {
      const oldest = this.#idle.next as ClientAddress;
      if (!reached(after(oldest.idleAt, FILL_TIME), now)) break;
      this.#forget(oldest);
    }
    this.#arm();
  };
}

function refusal(limit: string, maximum: number, key: string, retryAfter: number): AddressRefusal {
  const cause = withoutStack(() => new LimitError({ operation: "accept", limit, maximum, actual: maximum + 1 }));
  return { cause, detail: `${limit} (${maximum}) is reached by ${key}`, retryAfter };
}
