/** The dashboard for Grafana, in the form that Grafana imports. */

import { PANEL_ROWS, type Panel, type PanelRow } from "./panels.ts";
import { select } from "./queries.ts";

// Grafana's grid has 24 columns.
const COLUMNS = 24;
const WIDTH = 8;
const HEIGHT = 8;

/** Of the first Grafana that has all of this: 10.4. Later ones convert it. */
const SCHEMA = 39;

const DATASOURCE = { type: "prometheus", uid: "${datasource}" } as const;

/** A choice of the labels that Prometheus adds to each series, all at first. */
function labelVariable(label: "job" | "instance", matchers: readonly string[]): object {
  // As a text, which Grafana's editor converts. It would not complete an object that lacks the fields of its version.
  const query = `label_values(${select("holdfast_build_info", {}, matchers)}, ${label})`;
  return {
    ...{ name: label, label, type: "query", datasource: DATASOURCE, query, definition: query },
    ...{
      refresh: 2,
      sort: 1,
      multi: true,
      includeAll: true,
      allValue: ".+",
      current: { text: ["All"], value: ["$__all"] },
    },
  };
}

const QUANTILES = ["0.5", "0.9", "0.99", "0.999"];
const USUAL_QUANTILE = "0.99";

const VARIABLES: readonly object[] = [
  { name: "datasource", label: "data source", type: "datasource", query: "prometheus", refresh: 1 },
  labelVariable("job", []),
  labelVariable("instance", ['job=~"$job"']),
  {
    ...{ name: "quantile", label: "quantile", type: "custom", query: QUANTILES.join(",") },
    options: QUANTILES.map((value) => ({ text: value, value, selected: value === USUAL_QUANTILE })),
    current: { text: USUAL_QUANTILE, value: USUAL_QUANTILE },
  },
];

function panelObject({ title, description, unit, queries, now }: Panel, id: number, x: number, y: number): object {
  return {
    ...{ id, title, description, type: now === undefined ? "timeseries" : "stat", datasource: DATASOURCE },
    gridPos: { x, y, w: WIDTH, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options:
      now === undefined
        ? { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } }
        : { reduceOptions: { calcs: ["lastNotNull"] }, textMode: "value_and_name" },
    targets: queries.map(({ expr, legend }, index) => ({
      ...{ refId: String.fromCharCode(65 + index), datasource: DATASOURCE, expr, legendFormat: legend },
      ...(now !== undefined && { instant: true }),
    })),
  };
}

/** The rows from top to bottom, each with its panels from left to right. */
function panelObjects(rows: readonly PanelRow[]): readonly object[] {
  let [id, y] = [0, 0];
  return rows.flatMap(({ title, panels }) => {
    id += 1;
    const row = { id, title, type: "row", collapsed: false, gridPos: { x: 0, y, w: COLUMNS, h: 1 }, panels: [] };
    y += 1;
    const objects = panels.map((panel, index) => {
      id += 1;
      const inRow = COLUMNS / WIDTH;
      return panelObject(panel, id, (index % inRow) * WIDTH, y + Math.floor(index / inRow) * HEIGHT);
    });
    y += Math.ceil((panels.length * WIDTH) / COLUMNS) * HEIGHT;
    return [row, ...objects];
  });
}

/** The file with the dashboard, in JSON. */
export function dashboardFile(): string {
  const dashboard = {
    ...{ uid: "holdfast", title: "Holdfast", description: "Written by `npm run docs`. See docs/monitoring.md." },
    ...{ tags: ["holdfast"], schemaVersion: SCHEMA, editable: true, graphTooltip: 1, refresh: "30s" },
    time: { from: "now-1h", to: "now" },
    templating: { list: VARIABLES },
    panels: panelObjects(PANEL_ROWS),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
