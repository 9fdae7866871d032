/** The states of a TCP socket in the kernel, in words. */

export const KERNEL_STATES: Readonly<Record<string, string>> = {
  ESTABLISHED: "open",
  SYN_SENT: "this process connects, and the peer has not answered",
  SYN_RECV: "a peer connects, and has not completed the handshake",
  FIN_WAIT1: "this side has ended, and the peer has not acknowledged it",
  FIN_WAIT2: "this side has ended, and the peer has not",
  TIME_WAIT: "ended; the kernel waits for late packets",
  CLOSE: "not connected",
  CLOSE_WAIT:
    "the peer has ended, and this process has not closed its socket: if the number stays above 0, the application forgets connections",
  LAST_ACK: "both have ended; the peer has not acknowledged the end of this side",
  LISTEN: "waits for connections",
  CLOSING: "both have ended at the same time",
};
