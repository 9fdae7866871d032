/** `holdfast connect`: a connection to any server, for people on a terminal and for scripts. */

import { closeSync, openSync, writeSync } from "node:fs";
import { StopSignals } from "../../base/stop-signals.ts";
import {
  type CloseInfo,
  type Connection,
  type ConnectionEvent,
  type ConnectPhase,
  connect,
  reconnect,
} from "../../index.ts";
import { type Command, command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { printableLine, styleFor } from "../terminal.ts";
import { CONNECT_LINE, type ConnectSettings, DEFAULT_WAITS, INTERACTIVE_PING } from "./flags.ts";
import { chunksOf, Feed, linesOf, messagesOf, withLineEnds } from "./input.ts";
import { Keyboard } from "./keyboard.ts";
import { errorInWords, STATUSES, statusOfEnd, statusOfError } from "./outcome.ts";
import { Screen, writeJson } from "./screen.ts";
import { Session } from "./session.ts";
import { type EventSink, eventLine, messageOf, type Phases } from "./transcript.ts";
import { SessionSummary, writeOut } from "./write-out.ts";

export const connectCommand: Command = command(CONNECT_LINE, (settings) => new ConnectCommand(settings).run());

class ConnectCommand {
  readonly #settings: ConnectSettings;
  readonly #startedAt = performance.now();
  readonly #summary = new SessionSummary();
  readonly #keyboard: Keyboard | undefined;
  readonly #record: number | undefined;
  readonly #session: Session;
  /** Ends an attempt to connect, and the pause before one. */
  readonly #abandon = new AbortController();
  readonly #signals = new StopSignals();
  /** When each phase of the attempt in progress began. */
  #phases: { readonly phase: ConnectPhase; readonly at: number }[] = [];
  #openedAt = 0;
  /** The exit status if this program decides to end. */
  #stoppedWith: number | undefined;

  /** Throws UsageError if the file of the recording cannot be written. */
  constructor(settings: ConnectSettings) {
    const { wait, ping, answers, code, reason, script, record, tcp } = settings;
    this.#settings = settings;
    this.#record = record === undefined ? undefined : fileToWrite(record);
    const { stdin, stdout, stderr } = process;
    const interactive =
      stdin.isTTY === true && (stdout.isTTY === true || stderr.isTTY === true) && !settings.output.json;
    if (interactive) {
      const output = stdout.isTTY ? stdout : stderr;
      const interrupt = (): void => this.#interrupted(STATUSES.interrupted);
      this.#keyboard = new Keyboard({
        input: stdin,
        output,
        style: styleFor(output),
        historyFile: settings.history,
        interrupt,
      });
    }
    const source = this.#source(this.#keyboard);
    const defaultWait = interactive ? DEFAULT_WAITS.interactive : DEFAULT_WAITS.piped;
    this.#session = new Session(
      {
        ...{ answers, code, reason },
        script: script ?? (() => []),
        feed: source && new Feed(source),
        wait: wait ?? defaultWait,
        texts: tcp && !settings.output.raw,
        ping: (ping ?? (interactive ? INTERACTIVE_PING : 0)) || undefined,
      },
      this.#sink(),
      () => this.#now(),
    );
  }

  /** Connects, and resolves with the exit status after the end. */
  async run(): Promise<number> {
    const { maxTime, writeOut: format } = this.#settings;
    for (const stream of [process.stdout, process.stderr]) {
      // The reader of the output has ended, as `head` does.
      stream.on("error", () => this.#stop(STATUSES.clean));
    }
    process.on("SIGINT", () => this.#interrupted(STATUSES.interrupted));
    process.on("SIGTERM", () => this.#interrupted(STATUSES.terminated));
    // One connection gains nothing from the fast transport, whose self-test would be a part of the measured phases.
    process.env["HOLDFAST_TRANSPORT"] ??= "socket";
    const timer = maxTime === Infinity ? undefined : setTimeout(() => this.#stop(STATUSES.late), maxTime);
    const status = await this.#connect();
    clearTimeout(timer);
    this.#keyboard?.close();
    process.stdin.destroy();
    if (this.#record !== undefined) closeSync(this.#record);
    if (format !== undefined) process.stdout.write(writeOut(format, this.#summary.fields(status)));
    return status;
  }

  async #connect(): Promise<number> {
    const { answers } = this.#settings;
    try {
      const info = await (this.#settings.reconnect ? this.#again() : this.#once());
      const status = this.#stoppedWith ?? (info === undefined ? STATUSES.clean : statusOfEnd(info));
      const missing = answers !== Infinity && this.#session.received < answers;
      if (status !== STATUSES.clean || !missing) return status;
      throw new MissingAnswers(`received ${this.#session.received} of ${answers} messages`);
    } catch (error) {
      if (this.#stoppedWith !== undefined) return this.#stoppedWith;
      const status = error instanceof MissingAnswers ? STATUSES.late : statusOfError(error);
      await this.#session.emit({ type: "failed", error, status });
      this.#keyboard?.close();
      const verdict = this.#settings.reconnect && this.#session.opened ? "not connecting again: " : "";
      process.stderr.write(`holdfast: ${verdict}${printableLine(errorInWords(error))}\n`);
      return status;
    }
  }

  async #once(): Promise<CloseInfo> {
    const { url, options } = this.#settings;
    await this.#connecting(1);
    const observe = (event: ConnectionEvent): void => this.#observe(event);
    const connection = await connect(url, { ...options, signal: this.#abandon.signal, observe });
    await this.#run(connection);
    return connection.closed;
  }

  /** Resolves with how the connection ended if this side closed it; undefined if the peer ended it in an orderly way. */
  #again(): Promise<CloseInfo | undefined> {
    const { url, options, attempts } = this.#settings;
    return reconnect(url, (connection) => this.#run(connection), {
      ...options,
      signal: this.#abandon.signal,
      maxAttempts: attempts,
      observe: (event) => this.#observe(event),
      state: (state) => {
        if (state.name === "connecting") void this.#connecting(state.attempt);
        if (state.name !== "waiting") return;
        const { attempt, until, why } = state;
        const pause = Math.max(until.getTime() - Date.now(), 0);
        void this.#session.emit({ type: "waiting", attempt, pause, kind: why.kind, error: why.error });
      },
    });
  }

  #connecting(attempt: number): void | Promise<void> {
    this.#phases = [];
    return this.#session.emit({ type: "connecting", url: this.#settings.url, attempt });
  }

  async #run(connection: Connection<undefined>): Promise<CloseInfo | undefined> {
    const { url, remoteAddress, remotePort, protocol, extensions } = connection;
    const phases = this.#lengths();
    await this.#session.emit({ type: "open", url, remoteAddress, remotePort, protocol, extensions, phases });
    return this.#session.run(connection);
  }

  #observe(event: ConnectionEvent): void {
    if (event.type === "phase") this.#phases.push({ phase: event.phase, at: this.#now() });
    else if (event.type === "open") this.#openedAt = this.#now();
    else if (event.type === "frame") void this.#session.emit({ type: "frame", frame: event });
    else if (event.type === "accepted" || event.type === "refused") {
      const { requestHeaders = {}, responseHeaders = {} } = event;
      void this.#session.emit({ type: "handshake", requestHeaders, responseHeaders });
    }
  }

  /** The length of each phase of the attempt that has succeeded. */
  #lengths(): Phases {
    const ends = [...this.#phases.slice(1).map(({ at }) => at), this.#openedAt];
    return Object.fromEntries(this.#phases.map(({ phase, at }, index) => [phase, (ends[index] ?? at) - at]));
  }

  /** The source of the messages that are sent once; undefined if there is only a script. */
  #source(keyboard: Keyboard | undefined): AsyncIterable<string | Uint8Array<ArrayBuffer>> | undefined {
    const { script, encoding, chunks, maxLength } = this.#settings;
    if (keyboard !== undefined) {
      return messagesOf(chunks ? withLineEnds(keyboard.lines()) : keyboard.lines(), encoding, ({ message }) =>
        keyboard.write(`${message}\n`),
      );
    }
    if (script !== undefined) return undefined;
    return chunks ? chunksOf(process.stdin) : messagesOf(linesOf(process.stdin, maxLength), encoding);
  }

  #sink(): EventSink {
    const { json, pretty, plain, base64, raw, time, quiet, verbose } = this.#settings.output;
    const terminal = process.stdout.isTTY === true;
    const keyboard = this.#keyboard;
    const form = { pretty: pretty || (terminal && !plain), base64, dump: terminal, trim: this.#settings.chunks };
    const marks = time || terminal;
    // A typed line stays on the terminal, as its own echo.
    const sent = verbose || keyboard === undefined;
    const screen = new Screen({ form, raw, marks, sent, quiet, verbose, keyboard });
    const show = json ? writeJson : screen.show;
    return (event) => {
      this.#summary.count(event);
      if (this.#record !== undefined) writeSync(this.#record, eventLine(event));
      return show(event);
    };
  }

  #now(): number {
    return performance.now() - this.#startedAt;
  }

  /** The first Ctrl+C or signal closes the connection, a second one ends the process at once. */
  #interrupted(status: number): void {
    const signal = this.#signals.receive(performance.now());
    if (signal === "second") process.exit(status);
    if (signal === "first") this.#stop(status);
  }

  #stop(status: number): void {
    this.#stoppedWith ??= status;
    if (!this.#session.stop()) this.#abandon.abort(new Error("stopped"));
  }
}

/** Fewer messages were received than `--answers` expects. */
class MissingAnswers extends Error {}

function fileToWrite(file: string): number {
  try {
    return openSync(file, "w");
  } catch (error) {
    throw new UsageError(`cannot write --record ${JSON.stringify(file)}: ${messageOf(error)}`);
  }
}
