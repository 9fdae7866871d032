/** The dashboard for Grafana: that it names only what a process exposes, and can be used without this repository. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { dashboardFile } from "./dashboard.ts";
import { namedIn, unknownIn } from "./queries.ts";

/** What is used here of Grafana's form. */
interface GrafanaPanel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly datasource: { readonly uid: string };
  }[];
}

interface Grafana {
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly panels: readonly GrafanaPanel[];
}

const { templating, panels } = JSON.parse(dashboardFile()) as Grafana;
const shown = panels.filter(({ type }) => type !== "row");
const expressions = shown.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

describe("the dashboard", () => {
  it("names only metrics, labels and values that a process exposes", () => {
    const variables = templating.list.map(({ definition = "" }) => definition);
    for (const query of [...expressions, ...variables]) assert.deepEqual(unknownIn(query), [], query);
  });

  it("has a title, a description and a unit on each panel, and a title once", () => {
    for (const { title, description, fieldConfig } of shown) {
      assert.match(description ?? "", /^[^\n]+\.$/, title);
      assert.ok(fieldConfig?.defaults.unit, title);
    }
    const titles = panels.map(({ title }) => title);
    assert.equal(new Set(titles).size, titles.length);
  });

  it("has no data source of its own, and takes only the chosen jobs and instances", () => {
    for (const { title, datasource, targets = [] } of shown) {
      assert.equal(datasource?.uid, "${datasource}", title);
      assert.ok(targets.length > 0, title);
      for (const target of targets) {
        assert.equal(target.datasource.uid, "${datasource}", title);
        for (const { series, matchers } of namedIn(target.expr)) {
          assert.deepEqual([matchers.get("job"), matchers.get("instance")], [["$job"], ["$instance"]], series);
        }
      }
    }
  });

  it("takes rates over $__rate_interval, and no other window", () => {
    for (const expr of expressions) {
      for (const [, window] of expr.matchAll(/\[([^\]]*)\]/g)) assert.equal(window, "$__rate_interval", expr);
      for (const { series } of namedIn(expr).filter(({ series: name }) => /_(total|bucket|sum|count)$/.test(name)))
        assert.match(expr, new RegExp(`rate\\(${series}[{[]`), "a counter is shown as a rate");
    }
  });

  it("uses only variables that it has", () => {
    const known = templating.list.map(({ name }) => name);
    assert.deepEqual(known, ["datasource", "job", "instance", "quantile"]);
    for (const [, name = ""] of dashboardFile().matchAll(/\$\{?(\w+)/g))
      assert.ok([...known, "__rate_interval", "__all"].includes(name), name);
  });

  it("has rows for each question, and no two panels in one place", () => {
    assert.deepEqual(
      panels.filter(({ type }) => type === "row").map(({ title }) => title),
      [
        ...["Overview", "Ends by cause", "Slow peers and buffers", "Latency", "Topics and groups"],
        ...["Compression and clients that reconnect", "Kernel", "Process"],
      ],
    );
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      assert.ok(x + w <= 24);
      return Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)} ${y + Math.floor(cell / w)}`);
    });
    assert.equal(new Set(cells).size, cells.length);
  });
});
