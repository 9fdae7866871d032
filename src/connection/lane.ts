/** The control frames that wait for their turn: in order, bounded, and never in the way of one another. */

/** A control frame that waits. */
export interface Control {
  readonly operation: "write:ping" | "write:pong" | "write:close";
  readonly frame: Uint8Array;
}

// Pings that may wait, and pongs while the kernel takes nothing.
const MOST = 16;

export class ControlLane {
  readonly #waiting: Control[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get next(): Control | undefined {
    return this.#waiting[0];
  }

  /** Puts a frame behind the others. `blocked`: the kernel takes nothing. False for a Ping that finds too many before it. */
  add(control: Control, blocked: boolean): boolean {
    if (control.operation === "write:ping") {
      if (this.#count("write:ping") >= MOST) return false;
    } else if (blocked) {
      // RFC 6455 5.5.3 lets one Pong answer many Pings, so the newest stands for those that have no room. While the kernel
      // takes them each has its own: then there are no more than the Pings in one chunk.
      for (let pongs = this.#count("write:pong"); pongs >= MOST; pongs -= 1) this.#dropNewestPong();
    }
    this.#waiting.push(control);
    this.#bytes += control.frame.length;
    return true;
  }

  take(): Control | undefined {
    const control = this.#waiting.shift();
    this.#bytes -= control?.frame.length ?? 0;
    return control;
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#bytes = 0;
  }

  #count(operation: Control["operation"]): number {
    let count = 0;
    for (const control of this.#waiting) if (control.operation === operation) count += 1;
    return count;
  }

  #dropNewestPong(): void {
    const newest = this.#waiting.findLastIndex(({ operation }) => operation === "write:pong");
    const [dropped] = this.#waiting.splice(newest, 1);
    this.#bytes -= dropped?.frame.length ?? 0;
  }
}
