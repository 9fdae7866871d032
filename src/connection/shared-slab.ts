/** One buffer that is filled by one connection after the other, as long as the kernel takes what is in it at once. */

/** Most bytes handed over in one write: progress is seen in steps of this size. */
export const SLAB = 65_536;

let shared = Buffer.allocUnsafeSlow(SLAB);

/** Whether it is being filled or written, and is nobody else's: transports and observers may call back meanwhile. */
let taken = false;

// Its first bytes. Most writes are small, and to make a view for one costs more than to find it.
const VIEWS: (Uint8Array | undefined)[] = new Array(2_048).fill(undefined);

/** For who looks at it, and for who has it. */
export function sharedSlab(): Buffer {
  return shared;
}

export function isTaken(): boolean {
  return taken;
}

/** Takes it for a write; undefined if somebody else has it. */
export function takeShared(): Buffer | undefined {
  if (taken) return undefined;
  taken = true;
  return shared;
}

/** What is in it is with the kernel, if it is `done`; else it belongs to a write from now on. */
export function giveBack(done: boolean): void {
  taken = false;
  if (done) return;
  shared = Buffer.allocUnsafeSlow(SLAB);
  VIEWS.fill(undefined);
}

/** The first bytes of `slab`, be it the shared one or another. */
export function beginning(slab: Buffer, size: number): Uint8Array {
  if (slab !== shared || size >= VIEWS.length) return slab.subarray(0, size);
  const known = VIEWS[size];
  if (known !== undefined) return known;
  const view = slab.subarray(0, size);
  VIEWS[size] = view;
  return view;
}
