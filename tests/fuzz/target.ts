/** A fuzz target: a function from any bytes to words for the results. It throws if a property does not hold. */

import assert from "node:assert/strict";
import type { Decoder } from "../../src/engine/protocol.ts";

export interface Target {
  /** What it tries, in a few words. */
  readonly tries: string;
  /** Most bytes of an input. */
  readonly longest: number;
  /** Words that random bytes would not form soon. */
  readonly words: readonly string[];
  /** Names the kinds of results of `input`, so that the coverage of a corpus is known. Keeps no state between calls. */
  run(input: Uint8Array): readonly string[];
  /** For a decoder: one that was given the input, so that what it keeps can be weighed. */
  left?(input: Uint8Array): Decoder;
}

/**
 * An input is its settings and then what the peer sent. The settings are as many bytes as are asked for, each taken once and
 * in the same order, so that a fuzzer can turn one without moving the others. A missing byte is 0.
 */
export class Input {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  flag(): boolean {
    return (this.byte() & 1) === 1;
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.byte() % choices.length] as T;
  }

  /** The bytes from the peer, in their own array. */
  rest(): Uint8Array {
    return this.#bytes.slice(this.#at);
  }
}

/** Numbers below `below` that follow from one byte: the same ones each time. */
export function following(seed: number, below: number): () => number {
  let state = seed + 1;
  return () => {
    // Park and Miller: small, and enough to cut at many different places.
    state = (state * 48_271) % 0x7fffffff;
    return state % below;
  };
}

/** Answers what `work` throws; undefined if it throws nothing. */
export function thrownBy(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** That a sentence is one: without its full stop, in one line, with nothing that would break a log or a header. */
export function isSentence(text: string): void {
  assert.match(text, /^[a-zA-Z0-9"].*[^.\s]$/s);
  for (const character of text) assert.ok(character >= " " && character !== "\x7f", `a control character in ${text}`);
}
