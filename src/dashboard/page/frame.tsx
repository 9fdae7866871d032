/** The frame of the page: the head with the process, the state of the feed, the notices, and the view. */

import type { ComponentChildren } from "preact";
import { Causes } from "./causes.tsx";
import { Connections } from "./connections.tsx";
import { Ended } from "./ended.tsx";
import { fullTime, timeOfDay, written } from "./format.ts";
import { type Act, OneConnection } from "./one-connection.tsx";
import { Overview } from "./overview.tsx";
import type { PageState, ViewName } from "./state.ts";
import { System } from "./system.tsx";

/** What the user can do. */
export interface Actions {
  readonly act: Act;
  /** The question has changed. */
  readonly changed: () => void;
  readonly close: () => void;
  /** Pauses the stream, or continues it. */
  readonly stream: () => void;
  /** Tries at once. */
  readonly connect: () => void;
  /** Gives the server a token. */
  readonly enter: (token: string) => void;
  readonly dismiss: (key: number) => void;
  /** The pointer points to a time in a chart, or to none any more. */
  readonly point: (time: number | null) => void;
}

export interface PageProps {
  readonly state: PageState;
  readonly actions: Actions;
  readonly children: ComponentChildren;
}

const LINKS: readonly (readonly [ViewName, string])[] = [
  ["overview", "Overview"],
  ["connections", "Connections"],
  ["ended", "Ended"],
  ["system", "Servers, groups, topics"],
  ["causes", "Causes"],
];

export function PageFrame({ state, actions, children }: PageProps) {
  return (
    <>
      <button type="button" class="skip" onClick={focusView}>
        To the content
      </button>
      <Head state={state} actions={actions} />
      <Standing state={state} actions={actions} />
      <div class="notices" role="status">
        {state.notices.map(({ key, text, bad }) => (
          <p key={key} class={bad ? "notice bad" : "notice"}>
            {text}
            <button type="button" onClick={() => actions.dismiss(key)}>
              Dismiss
            </button>
          </p>
        ))}
      </div>
      <main id="view" tabIndex={-1}>
        <CurrentView state={state} actions={actions} />
      </main>
      {children}
    </>
  );
}

function focusView(): void {
  document.getElementById("view")?.focus();
}

function Head({ state, actions }: { readonly state: PageState; readonly actions: Actions }) {
  const { hello, update, history, view } = state;
  const open = (history.now("serverOpen") ?? 0) + (history.now("clientOpen") ?? 0);
  return (
    <header>
      <div class="bar">
        <h1>holdfast</h1>
        {hello !== undefined && (
          <p class="process">
            <b>{hello.host}</b> process {hello.pid}
            {hello.workers && ", one of several workers"}
            {hello.scope === "server" && ", one server of it"}
            <span class="dim" title={`since ${fullTime(hello.processStartedAt)}`}>
              {" "}
              for {written(Math.max(0, (update?.at ?? Date.now()) - hello.processStartedAt), "ms")}, holdfast{" "}
              {hello.version}, Node {hello.node}
              {hello.transport === "socket" && ", transport: socket"}
            </span>
          </p>
        )}
        {hello?.readOnly === true && <span class="tag">read only</span>}
        <span class={`tag ${state.streaming ? state.link.state : "paused"}`}>{standing(state)}</span>
        <button type="button" aria-pressed={!state.streaming} onClick={actions.stream}>
          {state.streaming ? "Pause" : "Continue"}
        </button>
      </div>
      <nav aria-label="Views">
        {LINKS.map(([name, label]) => (
          <a
            key={name}
            href={`#/${name}`}
            aria-current={
              view.name === name || (name === "connections" && view.name === "connection") ? "page" : undefined
            }
          >
            {label}
            {name === "connections" && update !== undefined && <span class="dim"> {written(open, "count")}</span>}
          </a>
        ))}
      </nav>
    </header>
  );
}

function standing({ link, streaming, update }: PageState): string {
  if (!streaming) return update === undefined ? "paused" : `paused at ${timeOfDay(update.at)}`;
  return { connecting: "connecting", open: "live", lost: "not connected", refused: "refused" }[link.state];
}

/** Says why there are no new numbers. */
function Standing({ state: { link, update }, actions }: { readonly state: PageState; readonly actions: Actions }) {
  const again = (
    <button type="button" onClick={actions.connect}>
      Try now
    </button>
  );
  // The text does not change while the page tries, so that a screen reader says it once.
  const text = ((): ComponentChildren => {
    if (link.state === "lost")
      return (
        <>
          The connection to the server is lost since {timeOfDay(link.since)}. The page tries again, at least each 10 s.
          {update !== undefined && " The numbers below are the last ones."} {again}
        </>
      );
    if (link.state !== "refused") return null;
    if (link.status === 401)
      return (
        <>
          The server needs a token. <TokenForm enter={actions.enter} />
        </>
      );
    if (link.status === 503)
      return <>The server has as many viewers as it allows. The page tries again, at least each 10 s. {again}</>;
    return (
      <>
        The server refuses the feed with {link.status}
        {link.text !== "" && `: ${link.text}`}. {again}
      </>
    );
  })();
  return (
    <div class="standing" role="alert">
      {text}
    </div>
  );
}

function TokenForm({ enter }: { readonly enter: Actions["enter"] }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    enter(String(new FormData(event.currentTarget as HTMLFormElement).get("token") ?? ""));
  };
  return (
    <form onSubmit={submit}>
      <label>
        Token <input name="token" type="password" autocomplete="current-password" required />
      </label>{" "}
      <button type="submit">Enter</button>
    </form>
  );
}

function CurrentView({ state, actions }: { readonly state: PageState; readonly actions: Actions }) {
  if (state.update === undefined)
    return state.link.state === "connecting" || state.link.state === "open" ? (
      <p class="dim">Waiting for the first numbers.</p>
    ) : (
      <p />
    );
  switch (state.view.name) {
    case "overview":
      return <Overview state={state} point={actions.point} />;
    case "connections":
      return <Connections state={state} changed={actions.changed} />;
    case "ended":
      return <Ended state={state} />;
    case "system":
      return <System state={state} />;
    case "causes":
      return <Causes key={state.view.of} state={state} />;
    case "connection":
      return <OneConnection state={state} act={actions.act} close={actions.close} />;
  }
}
