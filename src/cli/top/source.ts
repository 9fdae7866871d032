/** Where the rows of `holdfast top` come from. */

import type { TopColumn, TopRow, TopView } from "./table.ts";

/** The rows of one moment. */
export interface TopSnapshot {
  /** Lines above the table. Texts of a peer have no control characters. */
  readonly summary: readonly string[];
  readonly rows: readonly TopRow[];
  /** How many rows there are with and without those that the source has left out. */
  readonly total: number;
}

export interface TopSource {
  readonly columns: readonly TopColumn[];
  /** The column by which the rows are sorted unless the user chooses another. */
  readonly sort: string;
  /** True if the rows come filtered and in order, because the source has more of them. */
  readonly arranged: boolean;
  /** True if it can be read again after a reading that has failed, as a server can be started again. */
  readonly lasting: boolean;
  /** Called when the user has changed the order or the filter. */
  changed(view: TopView): void;
  /** Resolves with the rows of this moment. `view` is for a source that is `arranged`. Rejects at its end, or if it cannot be read now. */
  read(view: TopView): Promise<TopSnapshot>;
  close(): Promise<void>;
}
