/** The dashboard in the browser: joins the feed, the state and the views. */

import { render } from "preact";
import type { ActionMessage } from "../feed.ts";
import { feedAddress, tokenAddress } from "./address.ts";
import { CloseDialog, type Ending } from "./close-dialog.tsx";
import { FeedClient } from "./feed-client.ts";
import { PageFrame } from "./frame.tsx";
import { PageState } from "./state.ts";

const root = document.getElementById("page") as HTMLElement;
const state = new PageState();
let closing = false;
let drawing = false;

const client = new FeedClient(
  feedAddress(location),
  {
    link: (link) => {
      state.link = link;
      show();
    },
    hello: (hello) => {
      // The server is another version since its restart, and has another page.
      if (state.hello !== undefined && state.hello.version !== hello.version) location.reload();
      state.greet(hello);
      document.title = `${hello.host} ${hello.pid} – holdfast`;
    },
    update: (update) => {
      const begun = performance.now();
      state.take(update);
      show();
      // A tool measures how long the page works for an update.
      performance.measure("holdfast-update", { start: begun, end: performance.now() });
      next();
    },
    result: (result) => {
      state.result(result);
      show();
    },
  },
  () => state.question,
);

/** A hidden page asks for nothing. It gets the history when it is visible again. */
function next(): void {
  if (state.streaming && !document.hidden) client.ask();
}

function act(action: ActionMessage["action"], more: { code?: number; reason?: string } = {}): void {
  const { connection } = state;
  if (connection === undefined) return;
  state.await(client.act({ action, connection, ...more }), `${action} of connection ${connection}`);
  client.ask();
  show();
}

/** The server answers a right token with a cookie, and a wrong one as it does without any. */
async function enter(token: string): Promise<void> {
  await fetch(tokenAddress(location, token), { cache: "no-store" }).catch(() => undefined);
  client.connect();
}

function closed(ending: Ending | undefined): void {
  if (!closing) return;
  closing = false;
  if (ending === undefined) show();
  else if (ending.action === "terminate") act("terminate");
  else act("close", { code: ending.code, reason: ending.reason });
}

function show(): void {
  const row = state.detail?.row;
  const dialog = closing && row !== undefined && (
    <CloseDialog id={row.id} remote={row.remote} tcp={row.kind === "tcp"} done={closed} />
  );
  const page = (
    <PageFrame
      state={state}
      actions={{
        act,
        changed: () => {
          show();
          client.ask();
        },
        close: () => {
          closing = true;
          show();
        },
        stream: () => {
          state.streaming = !state.streaming;
          show();
          next();
        },
        connect: () => client.connect(),
        enter: (token) => void enter(token),
        point: (time) => {
          state.pointed = time;
          // A pointer moves more often than a screen is drawn.
          if (drawing) return;
          drawing = true;
          requestAnimationFrame(() => {
            drawing = false;
            show();
          });
        },
        dismiss: (key) => {
          state.dismiss(key);
          show();
        },
      }}
    >
      {dialog}
    </PageFrame>
  );
  render(page, root);
}

function navigate(): void {
  const changed = state.go(location.hash);
  closing = false;
  show();
  if (changed) client.ask();
}

addEventListener("hashchange", () => {
  navigate();
  // A reader of the page is where the new view begins.
  document.getElementById("view")?.focus({ preventScroll: true });
  scrollTo(0, 0);
});
document.addEventListener("visibilitychange", next);
navigate();
client.connect();
