/** Asks before a connection is closed. */

import { Component, createRef } from "preact";

/** How to end the connection. */
export type Ending =
  | { readonly action: "close"; readonly code: number; readonly reason: string }
  | { readonly action: "terminate" };

export interface CloseDialogProps {
  readonly id: number;
  readonly remote: string;
  /** True: has no codes. */
  readonly tcp: boolean;
  /** Undefined: nothing is to be done. */
  readonly done: (ending: Ending | undefined) => void;
}

/** RFC 6455 5.5: a control frame has at most 125 bytes, two of them for the code. */
const LONGEST_REASON = 123;

export class CloseDialog extends Component<CloseDialogProps> {
  readonly #dialog = createRef<HTMLDialogElement>();

  override componentDidMount(): void {
    this.#dialog.current?.showModal();
  }

  render({ id, remote, tcp, done }: CloseDialogProps) {
    const submit = (event: SubmitEvent): void => {
      event.preventDefault();
      const form = new FormData(event.currentTarget as HTMLFormElement);
      const reason = String(form.get("reason") ?? "");
      if (new TextEncoder().encode(reason).length > LONGEST_REASON) return;
      done({ action: "close", code: Number(form.get("code") ?? 1_000), reason });
    };
    return (
      <dialog ref={this.#dialog} aria-labelledby="close-title" onClose={() => done(undefined)}>
        <form onSubmit={submit}>
          <h2 id="close-title">Close connection {id}?</h2>
          <p>{remote}. Queued messages are delivered first. The peer may connect again.</p>
          {!tcp && (
            <p class="fields">
              <label>
                Code <input name="code" type="number" min="1000" max="4999" defaultValue="1000" required />
              </label>
              <label>
                Reason <input name="reason" maxLength={LONGEST_REASON} placeholder="none" />
              </label>
            </p>
          )}
          <p class="answers">
            <button type="button" onClick={() => this.#dialog.current?.close()}>
              Cancel
            </button>
            <button
              type="button"
              class="danger"
              title="A reset: queued messages are lost"
              onClick={() => done({ action: "terminate" })}
            >
              Terminate
            </button>
            <button type="submit" class="danger">
              Close
            </button>
          </p>
        </form>
      </dialog>
    );
  }
}
