/** The address that a server binds. */

/** The address that a server listens on. */
export interface ListenAddress {
  /** An empty string means all interfaces. */
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | undefined;
}
