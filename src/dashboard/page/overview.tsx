/** The first view: what needs attention, 12 charts, and the kernel's sockets. */

import { HISTORY_SECONDS, NUMBER_NAMES, type NumberName } from "../feed.ts";
import { attentions } from "./attention.ts";
import { Chart, type Line } from "./chart.tsx";
import { csv } from "./csv.ts";
import { written } from "./format.ts";
import { save } from "./save.ts";
import type { PageState } from "./state.ts";
import { KernelTable } from "./system.tsx";

export interface OverviewProps {
  readonly state: PageState;
  readonly point: (time: number | null) => void;
}

export function Overview({ state, point }: OverviewProps) {
  const { update, history } = state;
  if (update === undefined) return null;
  const found = attentions(history, update);
  return (
    <>
      <section class="attention">
        <h2>Needs attention</h2>
        {found.length === 0 ? (
          <p class="dim">Nothing.</p>
        ) : (
          <ul>
            {found.map(({ text, bad, view }) => (
              <li key={text} class={bad ? "bad" : "warn"}>
                <a href={view}>{text}</a>
              </li>
            ))}
          </ul>
        )}
      </section>
      <h2>Last {HISTORY_SECONDS / 60} minutes</h2>
      <Charts state={state} point={point} />
      <p class="files">
        <button type="button" onClick={() => save("holdfast-history.csv", "text/csv", historyCsv(state))}>
          CSV<span class="unseen"> of the history</span>
        </button>
      </p>
      <KernelTable kernel={update.kernel} />
    </>
  );
}

function Charts({ state, point }: OverviewProps) {
  const { history, times, update, pointed } = state;
  const common = { times, pointed, point };
  const line = (label: string, name: NumberName, tone: number, more: Partial<Line> = {}): Line => ({
    ...{ label, tone, values: history.column(name), largest: history.largest(name), ...more },
  });
  const client = history.column("clientOpen").some((value) => (value ?? 0) > 0);
  const ends = state.ends;
  const limit = update?.memoryLimit ?? null;
  const held = history.now("memoryHeld");
  const share =
    limit === null || held === null
      ? "no limit"
      : `${written((100 * held) / limit, "percent")} of ${written(limit, "bytes")}`;
  const topics = history.column("topics").some((value) => (value ?? 0) > 0);
  return (
    <div class="charts">
      <Chart
        title="Connections"
        kind="count"
        turn={0}
        {...common}
        lines={[
          line("open", "serverOpen", 1),
          line("opening", "serverOpening", 2),
          line("closing", "serverClosing", 3),
          ...(client ? [line("client, open", "clientOpen", 4)] : []),
        ]}
      />
      <Chart
        title="Opens and ends, per s"
        kind="count"
        turn={1}
        {...common}
        lines={[
          line("opened", "opened", 1),
          line("ended by peers", "closedPeer", 2),
          line("ended by this side", "closedLocal", 3),
          line("refused", "refused", 5),
        ]}
      />
      <Chart
        title="Ends by cause, per 10 s"
        kind="count"
        turn={2}
        {...common}
        times={ends.times}
        lines={ends.lines}
        stacked
      />
      <Chart
        title="Messages, per s"
        kind="count"
        turn={3}
        {...common}
        lines={[line("in", "messagesIn", 1), line("out", "messagesOut", 2), line("writes", "writes", 3)]}
      />
      <Chart
        title="Bytes, per s"
        kind="bytes"
        turn={4}
        {...common}
        lines={[line("in", "bytesIn", 1), line("out", "bytesOut", 2)]}
      />
      <Chart
        title="Send queues"
        kind="bytes"
        turn={5}
        {...common}
        lines={[
          line("all", "queuedBytes", 1),
          line("largest", "largestQueue", 2),
          line("messages", "queuedMessages", 3, { kind: "count", untraced: true }),
        ]}
      />
      <Chart
        title="Slow and paused"
        kind="count"
        turn={6}
        {...common}
        lines={[
          line("slow to read", "slow", 2),
          line("not read by us", "paused", 1),
          line("no room in a queue", "overflow", 5, { kind: "rate", bad: true }),
        ]}
      />
      <Chart
        title="Round trip of Pings"
        kind="ms"
        turn={7}
        {...common}
        lines={[line("p50", "rttP50", 1), line("p99", "rttP99", 2)]}
      />
      <Chart
        title="Delay of the event loop"
        kind="ms"
        turn={8}
        {...common}
        lines={[
          line("p50", "loopP50", 1),
          line("p99", "loopP99", 2),
          line("longest", "loopMax", 5),
          line("processor", "cpu", 6, { kind: "percent", untraced: true }),
        ]}
      />
      <Chart
        title="Memory"
        kind="bytes"
        turn={9}
        {...common}
        lines={[line("held for messages", "memoryHeld", 1), line("heap", "heapUsed", 3), line("process", "rss", 2)]}
        note={`Budget for messages: ${share}`}
      />
      <Chart
        title="Kernel sockets"
        kind="count"
        turn={10}
        {...common}
        lines={[
          line("all", "kernelSockets", 1),
          line("ending", "kernelEnding", 3),
          line("CLOSE_WAIT", "kernelCloseWait", 5, { bad: true }),
        ]}
      />
      {topics && (
        <Chart
          title="Topics"
          kind="count"
          turn={11}
          {...common}
          lines={[
            line("members", "topicMembers", 1),
            line("behind", "topicMembersBehind", 2),
            line("gaps", "topicGaps", 5, { kind: "rate", bad: true }),
          ]}
        />
      )}
    </div>
  );
}

function historyCsv({ history, times }: PageState): string {
  const columns = NUMBER_NAMES.map((key) => ({ key, value: (at: number) => history.column(key)[at] ?? null }));
  const time = { key: "time", value: (at: number) => new Date((times[at] ?? 0) * 1_000).toISOString() };
  return csv([time, ...columns], [...times.keys()]);
}
