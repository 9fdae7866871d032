/** One chart over 10 minutes, with its last values as a table: a canvas has nothing for a screen reader. */

import { Component, createRef } from "preact";
import { Amount } from "./amount.tsx";
import { axisLabel, type FigureKind, timeOfDay } from "./format.ts";
import { drawPlot, type PlotLine, timeAt, timePlace } from "./plot.ts";

/** A line of a chart. */
export interface Line extends PlotLine {
  readonly label: string;
  /** The largest of the values. Null: there is none. */
  readonly largest: number | null;
  /** Of these values, if it differs from that of the chart. */
  readonly kind?: FigureKind;
  /** True: not drawn, only in the table, because its scale is another one. */
  readonly untraced?: boolean;
  /** True: a value above 0 is bad. */
  readonly bad?: boolean;
}

export interface ChartProps {
  readonly title: string;
  readonly kind: FigureKind;
  /** Unix times in seconds. The same array: there are no later values. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  /** True: bars that stand on each other, and each for the time up to it. */
  readonly stacked?: boolean;
  readonly note?: string;
  /** The number of the chart. Even ones are drawn in even seconds. */
  readonly turn: number;
  /** The Unix time in seconds to which the pointer points in one of the charts. */
  readonly pointed: number | null;
  readonly point: (time: number | null) => void;
}

export class Chart extends Component<ChartProps> {
  readonly #canvas = createRef<HTMLCanvasElement>();
  #drawn: readonly number[] | undefined;
  #resized: ResizeObserver | undefined;
  readonly #scheme = matchMedia("(prefers-color-scheme: dark)");
  readonly #draw = (): void => {
    const canvas = this.#canvas.current;
    const { times, lines, stacked = false, kind } = this.props;
    this.#drawn = times;
    if (canvas === null) return;
    drawPlot(canvas, {
      ...{ times, lines: lines.filter(({ untraced }) => !untraced), stacked },
      whole: kind === "count" || kind === "bytes" || kind === "byteRate",
      label: (value) => axisLabel(value, kind),
      timeLabel: (time) => timeOfDay(time * 1_000).slice(0, 5),
    });
  };

  override componentDidMount(): void {
    this.#draw();
    this.#scheme.addEventListener("change", this.#draw);
    this.#resized = new ResizeObserver(this.#draw);
    if (this.#canvas.current !== null) this.#resized.observe(this.#canvas.current);
  }

  override componentDidUpdate(before: ChartProps): void {
    const { times, turn, lines } = this.props;
    if (this.#drawn === times) return;
    // A pixel is about 2 s wide. So each chart is drawn in every other second, which halves the work of an update.
    if (Math.round(times.at(-1) ?? 0) % 2 === turn % 2 || before.lines.length !== lines.length) this.#draw();
  }

  override componentWillUnmount(): void {
    this.#scheme.removeEventListener("change", this.#draw);
    this.#resized?.disconnect();
  }

  render({ title, kind, times, lines, note, pointed, point }: ChartProps) {
    const newest = times.at(-1) ?? 0;
    const place = pointed === null ? times.length - 1 : nearest(times, pointed);
    const width = this.#canvas.current?.clientWidth ?? 0;
    return (
      <section class="chart">
        <table class="legend">
          <caption class="unseen">{title}: last values, and the largest of 10 minutes</caption>
          <thead>
            <tr>
              <td>
                <h3>{title}</h3>
              </td>
              <th scope="col">{pointed === null ? "now" : timeOfDay((times[place] ?? 0) * 1_000)}</th>
              <th scope="col">largest</th>
            </tr>
          </thead>
          <tbody>
            {lines.map(({ label, tone, values, largest, untraced, bad, kind: own = kind }) => {
              const value = values[place] ?? null;
              return (
                <tr key={label}>
                  <th scope="row">
                    <span class={untraced ? "swatch none" : `swatch tone${tone}`} />
                    {label}
                  </th>
                  <td class={bad && (value ?? 0) > 0 ? "bad" : ""}>
                    <Amount value={value} kind={own} mixed />
                  </td>
                  <td class="dim">
                    <Amount value={largest} kind={own} mixed />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {note !== undefined && <p class="note">{note}</p>}
        <div
          class="plot"
          aria-hidden="true"
          onPointerMove={({ offsetX }) => point(timeAt(offsetX, newest, this.#canvas.current?.clientWidth ?? 0))}
          onPointerLeave={() => point(null)}
        >
          <canvas ref={this.#canvas} />
          {pointed !== null && times[place] !== undefined && (
            <span class="pointed" style={{ left: `${timePlace(times[place], newest, width)}px` }} />
          )}
        </div>
      </section>
    );
  }
}

/** The index of the first time that is not before `time`. */
function nearest(times: readonly number[], time: number): number {
  const at = times.findIndex((one) => one >= time);
  return at === -1 ? times.length - 1 : at;
}
