/** The HTML page of `holdfast serve`: a single file that loads nothing and opens two WebSockets to the same server. */

export const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Holdfast</title>
<style>
  :root { --ink: #1c2530; --soft: #5b6878; --paper: #f6f7f9; --card: #fff; --line: #d5dbe3; --accent: #0b6e99; --on-accent: #fff; --good: #1a7f4b; --bad: #b3352c }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6ebf1; --soft: #97a4b4; --paper: #12171d; --card: #1a212a; --line: #2e3946; --accent: #4fb3dd; --on-accent: #08222f; --good: #58c28a; --bad: #ef7f74 }
  }
  * { box-sizing: border-box }
  body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
  main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem }
  h1 { margin: 0; font-size: 1.5rem }
  h2 { margin: 0; font-size: 1.1rem }
  p { margin: .25rem 0 1.25rem; color: var(--soft) }
  .rooms { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)) }
  section { display: flex; flex-direction: column; gap: .75rem; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem }
  header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem }
  .state { color: var(--soft); font-size: .875rem } .open { color: var(--good) } .closed { color: var(--bad) }
  ol { flex: none; height: 16rem; margin: 0; padding: .5rem .75rem; overflow-y: auto; list-style: none; border: 1px solid var(--line); border-radius: .375rem; font: .875rem/1.6 ui-monospace, monospace; overflow-wrap: anywhere }
  form { display: flex; gap: .5rem }
  input { flex: 1; min-width: 0; padding: .5rem .75rem; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .375rem; font: inherit }
  button { padding: .5rem 1rem; color: var(--on-accent); background: var(--accent); border: 0; border-radius: .375rem; font: inherit; cursor: pointer }
  button:disabled { opacity: .5; cursor: default }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
</style>
<main>
  <h1>Holdfast</h1>
  <p>Two WebSockets to this server. Open the page twice to chat with yourself; ?name=ann in its address is your name.</p>
  <div class="rooms">
    <section aria-labelledby="chat">
      <header><h2 id="chat">/chat</h2><span class="state" id="chat-state" role="status">connecting</span></header>
      <div class="state" id="chat-members"></div>
      <ol id="chat-log" aria-live="polite"></ol>
      <form id="chat-form"><input id="chat-input" aria-label="Message to all" placeholder="Message" autocomplete="off"><button id="chat-send" disabled>Send</button></form>
    </section>
    <section aria-labelledby="echo">
      <header><h2 id="echo">/echo</h2><span class="state" id="echo-state" role="status">connecting</span></header>
      <ol id="echo-log" aria-live="polite"></ol>
      <form id="echo-form"><input id="echo-input" aria-label="Message to be echoed" placeholder="Message" autocomplete="off"><button id="echo-send" disabled>Send</button></form>
    </section>
  </div>
</main>
<script>
  const LONGEST_LOG = 200;
  // Of the pauses before the page connects again, in milliseconds.
  const SHORTEST_PAUSE = 1000, LONGEST_PAUSE = 10000;
  for (const name of ["chat", "echo"]) {
    const part = (suffix) => document.getElementById(name + "-" + suffix);
    const [state, log, form, input, button] = ["state", "log", "form", "input", "send"].map(part);
    let socket;
    let sentAt = 0;
    let failures = 0;
    const show = (text, kind) => {
      state.textContent = text;
      state.className = "state " + kind;
      button.disabled = kind !== "open";
    };
    const open = () => {
      // The query of the page may contain the token.
      socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/" + name + location.search);
      socket.onopen = () => {
        failures = 0;
        // The chat sends its last messages to each connection.
        if (name === "chat") log.replaceChildren();
        show("open", "open");
      };
      socket.onclose = ({ code, reason }) => {
        show("closed with " + code + (reason && ": " + reason) + "; connecting again", "closed");
        // Random, so that the pages of a restarted server do not connect all at once.
        setTimeout(open, Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** failures) * (0.5 + Math.random() / 2));
        failures += 1;
      };
      socket.onmessage = ({ data }) => {
        const line = document.createElement("li");
        const trip = name === "echo" ? "  (" + (performance.now() - sentAt).toFixed(1) + " ms)" : "";
        line.textContent = (typeof data === "string" ? data : data.size + " bytes") + trip;
        log.append(line);
        while (log.childElementCount > LONGEST_LOG) log.firstChild.remove();
        log.scrollTop = log.scrollHeight;
      };
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      if (socket.readyState !== WebSocket.OPEN || input.value === "") return;
      sentAt = performance.now();
      socket.send(input.value);
      input.value = "";
      input.focus();
    };
    open();
  }
  const members = document.getElementById("chat-members");
  const watch = () => {
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/chat/members" + location.search);
    socket.onmessage = ({ data }) => {
      const { count, members: names } = JSON.parse(data);
      const more = count > names.length ? " and " + (count - names.length) + " more" : "";
      members.textContent = count + " here: " + names.join(", ") + more;
    };
    socket.onclose = () => setTimeout(watch, LONGEST_PAUSE * Math.random());
  };
  watch();
</script>
</html>
`;
