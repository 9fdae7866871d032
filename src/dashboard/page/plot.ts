/** Draws the lines or the stacked bars of a chart on a canvas. A library of charts would be most of the page's size. */

import { HISTORY_SECONDS } from "../feed.ts";
import { ticks, timeTicks } from "./scale.ts";

export interface PlotLine {
  /** A colour of the style sheet: 1 to 6. */
  readonly tone: number;
  readonly values: readonly (number | null)[];
}

export interface PlotData {
  /** Unix times in seconds, ascending. The newest is at the right edge. */
  readonly times: readonly number[];
  readonly lines: readonly PlotLine[];
  /** True: bars that stand on each other, and each for the time up to it. */
  readonly stacked: boolean;
  /** True: there are no parts of 1. */
  readonly whole: boolean;
  readonly label: (value: number) => string;
  readonly timeLabel: (time: number) => string;
}

export const PLOT_HEIGHT = 104;
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 1, 7, 17];
const TICKS = 3;
const MINUTE = 60;
/** The width from which there is a label each two minutes, and not each five. */
const ROOMY = 300;
// The dash distinguishes the lines for people who do not see the colours.
const DASHES: readonly (readonly number[])[] = [[], [5, 2], [1.5, 1.5], [7, 2, 1.5, 2], [3, 3], [1, 3]];

/** Where the time is in a plot of this width, in pixels from the left. */
export function timePlace(time: number, newest: number, width: number): number {
  return LEFT + (1 - (newest - time) / HISTORY_SECONDS) * (width - LEFT - RIGHT);
}

/** The time at a place of a plot, or null beside its axes. */
export function timeAt(place: number, newest: number, width: number): number | null {
  const share = (place - LEFT) / (width - LEFT - RIGHT);
  return share < 0 || share > 1 ? null : newest - (1 - share) * HISTORY_SECONDS;
}

export function drawPlot(canvas: HTMLCanvasElement, data: PlotData): void {
  const context = canvas.getContext("2d");
  const width = canvas.clientWidth;
  const { times, lines, stacked } = data;
  const newest = times.at(-1);
  if (context === null || width === 0 || newest === undefined) return;
  const scale = devicePixelRatio;
  const style = getComputedStyle(canvas);
  const colour = (name: string): string => style.getPropertyValue(name);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(PLOT_HEIGHT * scale);
  context.scale(scale, scale);
  context.font = `11px ${style.fontFamily}`;

  const layers = stacked ? sums(lines) : lines.map(({ values }) => values);
  const steps = ticks(most(layers), TICKS, data.whole);
  const top = steps.at(-1) ?? 1;
  const bottom = PLOT_HEIGHT - BOTTOM;
  const x = (time: number): number => timePlace(time, newest, width);
  const y = (value: number): number => bottom - (value / top) * (bottom - TOP);

  context.fillStyle = colour("--dim");
  context.strokeStyle = colour("--rule");
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.beginPath();
  for (const step of steps) {
    // A line between two pixels would be grey on both.
    const at = Math.round(y(step)) + 0.5;
    context.moveTo(LEFT, at);
    context.lineTo(width, at);
    context.fillText(data.label(step), LEFT - 6, at);
  }
  context.stroke();
  context.textAlign = "center";
  context.textBaseline = "bottom";
  const offset = -new Date(newest * 1_000).getTimezoneOffset() * MINUTE;
  for (const time of timeTicks(newest - HISTORY_SECONDS, newest, (width > ROOMY ? 2 : 5) * MINUTE, offset)) {
    const place = x(time);
    if (place > LEFT + 12 && place < width - 14) context.fillText(data.timeLabel(time), place, PLOT_HEIGHT);
  }

  context.beginPath();
  context.rect(LEFT, 0, width - LEFT, PLOT_HEIGHT);
  context.clip();
  // The first one is the most important: it is above the others.
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    const [values, tone] = [layers[at] ?? [], lines[at]?.tone ?? 1];
    context.fillStyle = context.strokeStyle = colour(`--tone${tone}`);
    if (stacked) {
      const bar = x((times[1] ?? 0) - (times[0] ?? 0) + newest) - x(newest);
      values.forEach((value, index) => {
        if (value !== null && value > 0)
          context.fillRect(x(times[index] ?? 0) - bar + 0.5, y(value), bar - 1, bottom - y(value));
      });
    } else {
      context.lineWidth = 1.25;
      context.setLineDash([...(DASHES[tone - 1] ?? [])]);
      context.beginPath();
      let drawing = false;
      values.forEach((value, index) => {
        if (value === null) drawing = false;
        else {
          const place = x(times[index] ?? 0);
          if (drawing) context.lineTo(place, y(value));
          else context.moveTo(place, y(value));
          // A line would not show a value between two that are not known.
          if (!drawing && values[index + 1] == null) context.fillRect(place - 1.5, y(value) - 1.5, 3, 3);
          drawing = true;
        }
      });
      context.stroke();
    }
  }
}

/** Each line with those before it. */
function sums(lines: readonly PlotLine[]): number[][] {
  const total: number[] = [];
  return lines.map(({ values }) => {
    values.forEach((value, at) => {
      total[at] = (total[at] ?? 0) + (value ?? 0);
    });
    return [...total];
  });
}

function most(layers: readonly (readonly (number | null)[])[]): number {
  let largest = 0;
  for (const values of layers) for (const value of values) if (value !== null && value > largest) largest = value;
  return largest;
}
