/** Bounded queue of control frames, in order, in which pings, pongs and the Close frame do not block each other. */

/** A queued control frame. */
export interface Control {
  readonly operation: "write:ping" | "write:pong" | "write:close";
  readonly frame: Uint8Array;
}

// Most pings in the queue. Also most pongs, while the kernel accepts nothing.
const MAX_QUEUED = 16;

// Most bytes in the queue. The Pongs for one chunk of Pings take less, also with masks. More are queued only if the application
// sends Pongs in a loop.
const MAX_QUEUED_BYTES = 262_144;

export class ControlQueue {
  readonly #frames: Control[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get next(): Control | undefined {
    return this.#frames[0];
  }

  /** Appends a frame. `blocked`: the kernel accepts nothing. Returns false for a Ping if too many are queued. */
  enqueue(control: Control, blocked: boolean): boolean {
    if (control.operation === "write:ping") {
      if (this.#count("write:ping") >= MAX_QUEUED) return false;
    } else if (blocked) {
      // RFC 6455 5.5.3 lets one Pong answer many Pings, so the newest Pong stands for those that have no room. While the kernel
      // accepts them, each Ping gets its own Pong: there are no more of them than Pings in one chunk.
      for (let pongs = this.#count("write:pong"); pongs >= MAX_QUEUED; pongs -= 1) this.#dropNewestPong();
    } else if (this.#bytes >= MAX_QUEUED_BYTES) {
      this.#dropNewestPong();
    }
    this.#frames.push(control);
    this.#bytes += control.frame.length;
    return true;
  }

  shift(): Control | undefined {
    const control = this.#frames.shift();
    this.#bytes -= control?.frame.length ?? 0;
    return control;
  }

  clear(): void {
    this.#frames.length = 0;
    this.#bytes = 0;
  }

  #count(operation: Control["operation"]): number {
    let count = 0;
    for (const control of this.#frames) if (control.operation === operation) count += 1;
    return count;
  }

  #dropNewestPong(): void {
    const newest = this.#frames.findLastIndex(({ operation }) => operation === "write:pong");
    const [dropped] = this.#frames.splice(newest, 1);
    this.#bytes -= dropped?.frame.length ?? 0;
  }
}
