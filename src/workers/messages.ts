/** The messages between the process of a worker and the process that started it. */

/** A message of a channel. */
export type Mail = readonly [channel: string, message: Uint8Array];

export type FromWorker =
  | { readonly holdfast: "serving"; readonly urls: readonly string[] }
  /** `report` is the error with its stack and its causes, as text, because not every error can be sent to another process. */
  | {
      readonly holdfast: "failed";
      readonly problem: string;
      readonly errno: string | undefined;
      readonly report: string;
    }
  /** Channels to which the worker has subscribed, or no longer subscribes. Answered with `confirmed`. */
  | {
      readonly holdfast: "channels";
      readonly announcement: number;
      readonly changes: readonly (readonly [channel: string, subscribed: boolean])[];
    }
  | { readonly holdfast: "mail"; readonly mail: readonly Mail[] };

export type ToWorker =
  | { readonly holdfast: "stop" }
  | { readonly holdfast: "confirmed"; readonly announcement: number }
  /** `missed`: the number of messages before these for which there was no room. */
  | { readonly holdfast: "mail"; readonly mail: readonly Mail[]; readonly missed: number };

/**
 * Returns the message if it is one of this library, otherwise undefined: the program may send messages of its own. The fields are
 * not validated, because both sides are this library.
 */
export function libraryMessage<M extends { readonly holdfast: string }>(message: unknown): M | undefined {
  const isOurs = typeof message === "object" && message !== null && "holdfast" in message;
  return isOurs ? (message as M) : undefined;
}
