/** Divides the topics among the slots of a Redis Cluster. */

/** The number of slots of a Redis Cluster. */
const SLOTS = 16_384;

/** CRC16 as Redis Cluster uses it (polynomial 0x1021, initial value 0). */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  return crc;
});

function crc16(text: string): number {
  let crc = 0;
  for (const byte of Buffer.from(text)) crc = ((crc << 8) ^ (TABLE[((crc >> 8) ^ byte) & 0xff] as number)) & 0xffff;
  return crc;
}

/** The slot of a hash tag. */
export function slotOf(tag: string): number {
  return crc16(tag) % SLOTS;
}

/**
 * The partitions of the topics. All keys and the channel of a topic have the hash tag of its partition, so that one script can use
 * them, and one command can subscribe to many channels of a partition.
 */
export class Partitions {
  readonly count: number;
  readonly #tags: readonly string[];

  /** With one partition there are no hash tags. */
  constructor(count: number) {
    this.count = count;
    this.#tags = count === 1 ? [""] : evenTags(count);
  }

  of(topic: string): number {
    return this.count === 1 ? 0 : crc16(topic) % this.count;
  }

  slot(partition: number): number {
    return slotOf(this.#tags[partition] as string);
  }

  /** What the keys and the channels of a partition begin with. */
  prefix(name: string, partition: number): string {
    return this.count === 1 ? `${name}:` : `${name}:{${this.#tags[partition]}}:`;
  }
}

/**
 * Tags whose slots are evenly spread: partition `i` has a slot in the part `i` of all slots. A cluster gives neighbouring slots to one
 * node, so that each node gets its share of the partitions.
 */
function evenTags(count: number): string[] {
  const tags = new Array<string>(count);
  let missing = count;
  for (let number = 0; missing > 0; number += 1) {
    const part = Math.floor((slotOf(String(number)) * count) / SLOTS);
    if (tags[part] !== undefined) continue;
    tags[part] = String(number);
    missing -= 1;
  }
  return tags;
}
