/** The view of the servers, groups and topics of the process, and the kernel's sockets by state. */

import { KERNEL_STATES } from "./kernel-states.ts";
import type { PageState } from "./state.ts";
import { DataTable } from "./table.tsx";

export function KernelTable({ kernel }: { readonly kernel: Readonly<Record<string, number>> | null }) {
  return (
    <>
      <h2>Kernel sockets</h2>
      {kernel === null ? (
        <p class="dim">Not known: the kernel's table is read on Linux only.</p>
      ) : (
        <DataTable
          name="kernel-sockets"
          caption="Kernel sockets of this process, by state"
          columns={[
            { key: "state", label: "state", value: ([state]) => state },
            { key: "count", label: "sockets", kind: "count", value: ([, count]) => count },
            { key: "meaning", label: "meaning", wide: true, value: ([state]) => KERNEL_STATES[state] ?? "" },
          ]}
          rows={Object.entries(kernel)}
          rowKey={([state]) => state}
          rowClass={([state, count]) => (state === "CLOSE_WAIT" && count > 0 ? "bad" : "")}
          empty="This process has no TCP socket."
        />
      )}
    </>
  );
}

export function System({ state: { update } }: { readonly state: PageState }) {
  if (update === undefined) return null;
  const { servers, groups, topics } = update;
  return (
    <>
      <h2>Servers</h2>
      <DataTable
        name="servers"
        caption="Servers"
        columns={[
          {
            key: "url",
            label: "address",
            wide: true,
            value: ({ url }) => url,
            cell: ({ url }) => url || "not listening",
          },
          { key: "connections", label: "connections", kind: "count", value: ({ connections }) => connections },
          { key: "limit", label: "at most", kind: "count", value: ({ limit }) => limit },
          { key: "opening", label: "opening", kind: "count", value: ({ opening }) => opening },
        ]}
        rows={servers.map((server, number) => ({ number, ...server }))}
        rowKey={({ number }) => number}
        rowClass={({ connections, limit }) => (limit !== null && connections >= limit ? "bad" : "")}
        empty="This process has no server."
      />
      <h2>Groups</h2>
      {groups === null ? (
        <p class="dim">The application has named no group.</p>
      ) : (
        <DataTable
          name="groups"
          caption="Groups"
          columns={[
            { key: "name", label: "name", wide: true, value: ({ name }) => name },
            { key: "members", label: "members", kind: "count", value: ({ members }) => members },
          ]}
          rows={groups}
          rowKey={({ name }) => name}
          empty="There is no group."
        />
      )}
      <h2>Topics</h2>
      {topics === null ? (
        <p class="dim">The application has named no hub.</p>
      ) : (
        <DataTable
          name="topics"
          caption="Topics"
          columns={[
            { key: "name", label: "topic", wide: true, value: ({ name }) => name },
            { key: "hub", label: "hub", value: ({ hub }) => hub },
            { key: "members", label: "members", kind: "count", value: ({ members }) => members },
            {
              key: "behind",
              label: "behind",
              help: "members behind the newest message",
              kind: "count",
              value: ({ behind }) => behind,
            },
            { key: "position", label: "newest position", value: ({ position }) => position },
          ]}
          rows={topics}
          rowKey={({ hub, name }) => JSON.stringify([hub, name])}
          rowClass={({ behind }) => (behind > 0 ? "warn" : "")}
          empty="No topic has a member."
        />
      )}
    </>
  );
}
