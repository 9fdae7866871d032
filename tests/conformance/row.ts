/** One line of the tables: what a peer says, what it hears, and how it ends. */

import { type Frame, fragments, frame, pieces, text } from "./frame.js";

/** How what is said is cut into writes: not at all, between frames, or every so many bytes. */
export type Cut = "whole" | "frames" | number;

export type Step =
  | { readonly do: "say"; readonly frames: readonly Frame[]; readonly cut: Cut }
  /** Of one frame, the bytes of its payload from `from` to `to`; its header comes with the first of them. */
  | { readonly do: "sayPart"; readonly frame: Frame; readonly from: number; readonly to: number }
  /** Exactly these frames, and nothing before them. */
  | { readonly do: "hear"; readonly frames: readonly Frame[] }
  /** Nothing at all, although everything that was said has been dealt with. */
  | { readonly do: "hearNothing" };

/**
 * `clean`: the peer closes with 1000 and gets it back. `closed`: the Close frames stand among the steps, and `code` is what
 * the connection was told. `failed`: it closes with `code` by itself, and says nothing after that.
 */
export type End =
  | { readonly how: "clean" }
  | { readonly how: "closed"; readonly code: number }
  | { readonly how: "failed"; readonly code: number };

export interface Row {
  /** Numbered as the sections of Autobahn|Testsuite are, so that their results can be read beside each other. */
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
/** Octet by octet. */
export const sayOctets = (...frames: Frame[]): Step => sayIn(1, ...frames);
export const sayPart = (frame: Frame, from: number, to: number): Step => ({ do: "sayPart", frame, from, to });
export const hear = (...frames: Frame[]): Step => ({ do: "hear", frames });
export const hearNothing: Step = { do: "hearNothing" };

/** A message that comes back. */
export const echo = (id: string, what: string, message: Frame, cut: Cut = "whole"): Row =>
  row(id, what, [{ do: "say", frames: [message], cut }, hear(message)]);

/** `message` in fragments of `size` bytes. */
export const split = (message: Frame, size: number): Frame[] =>
  fragments((payload, changes) => frame(message.opcode, payload, changes), ...pieces(message.payload, size));

/** What is said when only that something is said matters. */
export const HELLO: Frame = text("Hello, world!");
