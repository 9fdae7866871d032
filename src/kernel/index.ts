/** The entry point `holdfast/kernel`: what the kernel knows about the TCP sockets of a process. */

export type { SocketState, SocketTimer } from "../transport/socket/socket-table.ts";
export type { KernelProcess } from "./processes.ts";
export {
  type KernelReport,
  type KernelSocket,
  KernelSockets,
  type KernelSocketsOptions,
  type KernelUnsupported,
} from "./sockets.ts";
