/** A check of types: for tests that the compiler runs. */

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only if the type of `value` is exactly `Expected`: `any` is equal to nothing but `any`. */
export function exactly<Expected>(): <Actual>(
  value: Actual,
  ...same: Equal<Actual, Expected> extends true ? [] : [never]
) => void {
  return () => {};
}
