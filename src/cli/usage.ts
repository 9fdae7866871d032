/** What is wrong with a command line. */

/** A wrong flag or value: told in one line, with status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
