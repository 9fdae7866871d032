/** What a worker's process and the one that started it say to each other. */

/** A message of a channel. */
export type Mail = readonly [channel: string, message: Uint8Array];

export type FromWorker =
  | { readonly holdfast: "serving"; readonly urls: readonly string[] }
  | { readonly holdfast: "failed"; readonly problem: string; readonly errno: string | undefined }
  /** Channels that it has begun, or ceased, to hear. Answered with `known`. */
  | {
      readonly holdfast: "channels";
      readonly round: number;
      readonly changes: readonly (readonly [channel: string, heard: boolean])[];
    }
  | { readonly holdfast: "mail"; readonly mail: readonly Mail[] };

export type ToWorker =
  | { readonly holdfast: "stop" }
  | { readonly holdfast: "known"; readonly round: number }
  /** `missed` messages, for which there was no room, would have come before these. */
  | { readonly holdfast: "mail"; readonly mail: readonly Mail[]; readonly missed: number };

/** What came, if it is ours: the program may say things of its own. Both ends are this library. */
export function heard<M extends { readonly holdfast: string }>(message: unknown): M | undefined {
  const ours = typeof message === "object" && message !== null && "holdfast" in message;
  return ours ? (message as M) : undefined;
}
