/** One row of the tables: the frames of the peer, the expected answers, and the expected end. */

import { type Frame, fragments, frame, pieces, text } from "./frame.ts";

/** How frames are cut into writes: not at all, between frames, or after this many bytes. */
export type Cut = "whole" | "frames" | number;

export type Step =
  | { readonly do: "say"; readonly frames: readonly Frame[]; readonly cut: Cut }
  /** The payload bytes of one frame from `from` to `to`. The header is sent with the first of them. */
  | { readonly do: "sayPart"; readonly frame: Frame; readonly from: number; readonly to: number }
  /** Exactly these frames, and none before them. */
  | { readonly do: "hear"; readonly frames: readonly Frame[] }
  /** No frame, although everything sent was processed. */
  | { readonly do: "hearNothing" };

/**
 * `clean`: the peer closes with 1000 and gets it back. `closed`: the Close frames are among the steps, and `code` is what
 * the connection reports. `failed`: the connection closes with `code` by itself, and sends nothing after that.
 */
export type End =
  | { readonly how: "clean" }
  | { readonly how: "closed"; readonly code: number }
  | { readonly how: "failed"; readonly code: number };

export interface Row {
  /** Numbered as the sections of Autobahn|Testsuite, so that the results can be compared. */
  readonly id: string;
  readonly what: string;
  readonly steps: readonly Step[];
  readonly end: End;
}

export const CLEAN: End = { how: "clean" };
export const closed = (code: number): End => ({ how: "closed", code });
export const failed = (code: number): End => ({ how: "failed", code });

export const row = (id: string, what: string, steps: readonly Step[], end: End = CLEAN): Row => {
  return { id, what, steps, end };
};

/** In one write. */
export const say = (...frames: Frame[]): Step => ({ do: "say", frames, cut: "whole" });
/** Each frame in a write of its own. */
export const sayEach = (...frames: Frame[]): Step => ({ do: "say", frames, cut: "frames" });
/** In writes of `size` bytes. */
export const sayIn = (size: number, ...frames: Frame[]): Step => ({ do: "say", frames, cut: size });
/** Byte by byte. */
export const sayOctets = (...frames: Frame[]): Step => sayIn(1, ...frames);
export const sayPart = (frame: Frame, from: number, to: number): Step => ({ do: "sayPart", frame, from, to });
export const hear = (...frames: Frame[]): Step => ({ do: "hear", frames });
export const hearNothing: Step = { do: "hearNothing" };

/** A message that is echoed. */
export const echo = (id: string, what: string, message: Frame, cut: Cut = "whole"): Row =>
  row(id, what, [{ do: "say", frames: [message], cut }, hear(message)]);

/** `message` in fragments of `size` bytes. */
export const split = (message: Frame, size: number): Frame[] =>
  fragments((payload, changes) => frame(message.opcode, payload, changes), ...pieces(message.payload, size));

/** A frame whose content does not matter. */
export const HELLO: Frame = text("Hello, world!");
