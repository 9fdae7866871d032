/** What the examples print that end by themselves, and the names of those that are servers. */

export const PRINTED: Readonly<Record<string, string>> = {
  attach: "welcome, Ali\na page\n\n",
  echo: "hello\n",
  lines: "you said hello\nno answer, retriable: true\nyou said again\n",
  reconnect: "open: websocket\nheard one\nwaiting: 1001 new version retry-after=0.1\nopen: websocket\nheard two\n",
  workers: "ann reads: welcome\nben reads: welcome\nann reads: hello, all\nben reads: hello, all\n",
  testing:
    "ann reads: hello, all\nben was closed with 1006\nann is open and the group has 1 member\n" +
    "the group has 0 members\nann is open again\nthe drain: 1 clean, 0 cut\n",
};

/** Tested with clients of other projects, in servers.test.ts. */
export const SERVERS: readonly string[] = ["chat", "express", "login", "prices", "proxy", "rpc"];
