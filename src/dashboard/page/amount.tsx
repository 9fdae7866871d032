/** A figure with its unit, which has a width of its own, so that a column of figures is aligned. */

import { type FigureKind, figure } from "./format.ts";

export interface AmountProps {
  readonly value: number | null;
  readonly kind: FigureKind;
  /** True: there is room for a unit also beside a number without one. */
  readonly mixed?: boolean;
}

export function Amount({ value, kind, mixed = false }: AmountProps) {
  const { text, unit } = figure(value, kind);
  if (kind === "count" && !mixed) return <span class={value === null ? "dim" : ""}>{text}</span>;
  return (
    <span class={value === null ? "dim" : ""}>
      {text}
      <span class={mixed ? "unit" : `unit of-${kind}`}>
        {"\u00a0"}
        {unit}
      </span>
    </span>
  );
}
