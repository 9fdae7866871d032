/** What each key does to the view. A pure function. */

import type { Key } from "node:readline";
import type { TopColumn, TopView } from "./table.ts";

/** The view, where the list begins, and the filter that is being typed. */
export interface TopState extends TopView {
  /** The number of the first row that is shown. */
  readonly offset: number;
  /** True while the filter is being typed. */
  readonly typing: boolean;
}

/** The line that explains the keys. */
export const KEYS_LINE = "left right: column  r: reverse  /: filter  up down: scroll  q: quit";

// In characters. A longer one fits no text.
const LONGEST_FILTER = 64;

/** The state behind a key; "quit" for the end. `page`: the number of rows on the screen. */
export function behindKey(
  state: TopState,
  text: string | undefined,
  { name, ctrl = false }: Key,
  columns: readonly TopColumn[],
  page: number,
): TopState | "quit" {
  if (ctrl && name === "c") return "quit";
  if (state.typing) return typed(state, text, name, ctrl);
  const scrolled = (by: number): TopState => ({ ...state, offset: Math.max(state.offset + by, 0) });
  if (text === "q") return "quit";
  if (text === "r") return { ...state, reverse: !state.reverse, offset: 0 };
  if (text === "/") return { ...state, typing: true };
  if (name === "escape") return { ...state, filter: "", offset: 0 };
  if (name === "left" || text === "<") return sorted(state, columns, -1);
  if (name === "right" || text === ">") return sorted(state, columns, 1);
  if (name === "up") return scrolled(-1);
  if (name === "down") return scrolled(1);
  if (name === "pageup") return scrolled(-page);
  if (name === "pagedown") return scrolled(page);
  if (name === "home") return { ...state, offset: 0 };
  return state;
}

function typed(state: TopState, text: string | undefined, name: string | undefined, ctrl: boolean): TopState {
  if (name === "return" || name === "enter") return { ...state, typing: false };
  if (name === "escape") return { ...state, typing: false, filter: "", offset: 0 };
  if (name === "backspace") return { ...state, filter: state.filter.slice(0, -1), offset: 0 };
  const printable = !ctrl && text !== undefined && /^[ -~]$/.test(text);
  if (!printable || state.filter.length >= LONGEST_FILTER) return state;
  return { ...state, filter: state.filter + text, offset: 0 };
}

function sorted(state: TopState, columns: readonly TopColumn[], by: number): TopState {
  const at = columns.findIndex(({ name }) => name === state.sort);
  const { name = state.sort } = columns[(at + by + columns.length) % columns.length] ?? {};
  return { ...state, sort: name, reverse: false, offset: 0 };
}
