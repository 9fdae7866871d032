/** nginx, HAProxy and Caddy in front of a server, on a Unix socket, so that no port is needed. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Program } from "../kit/foreign-programs.ts";

export interface ProxyKind extends Program {
  /** The arguments that run it in the foreground, in `folder`. */
  readonly args: (folder: string) => readonly string[];
  /** False if it closes no connection for want of traffic. */
  readonly impatient: boolean;
  /** True if it writes to stderr without a fault. */
  readonly reportsStart?: true;
  /**
   * In front of the server at `port`. /private is refused. A connection without traffic is closed after `patience` seconds. The
   * proxy adds X-Forwarded-For.
   */
  readonly config: (folder: string, port: number, patience: number) => string;
}

export const NGINX: ProxyKind = {
  name: "nginx",
  install: "apt-get install nginx-light",
  places: ["/usr/sbin/nginx", "nginx"],
  impatient: true,
  args: (folder) => ["-p", folder, "-e", "stderr", "-c", "config"],
  config: (folder, port, patience) => `
    daemon off;
    master_process off;
    pid ${folder}/pid;
    events { worker_connections 64; }
    http {
      access_log off;
      client_body_temp_path ${folder}/body;
      proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi;
      scgi_temp_path ${folder}/scgi;
      server {
        listen unix:${folder}/proxy.sock;
        location /private { return 403; }
        location / {
          proxy_pass http://127.0.0.1:${port};
          proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection $http_connection;
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
          proxy_read_timeout ${patience}s;
        }
      }
    }`,
};

export const HAPROXY: ProxyKind = {
  name: "haproxy",
  install: "apt-get install haproxy",
  places: ["/usr/sbin/haproxy", "haproxy"],
  impatient: true,
  args: () => ["-db", "-q", "-f", "config"],
  config: (folder, port, patience) => `
global
  maxconn 64
defaults
  mode http
  timeout connect 10s
  timeout client ${patience}s
  timeout server ${patience}s
  timeout tunnel ${patience}s
frontend outside
  bind unix@${folder}/proxy.sock
  http-request deny if { path_beg /private }
  # A client on a Unix socket has no address, so \`option forwardfor\` would add nothing.
  http-request set-header X-Forwarded-For "%[req.fhdr(x-forwarded-for)], unix:"
  default_backend inside
backend inside
  server one 127.0.0.1:${port}
`,
};

export const CADDY: ProxyKind = {
  name: "caddy",
  install: "apt-get install caddy",
  places: ["caddy"],
  impatient: false,
  reportsStart: true,
  args: () => ["run", "--config", "config", "--adapter", "caddyfile"],
  config: (folder, port) => `
{
  admin off
  auto_https off
  storage file_system ${folder}
  log {
    level ERROR
  }
}
:80 {
  bind unix/${folder}/proxy.sock
  respond /private* 403
  reverse_proxy 127.0.0.1:${port} {
    # A client on a Unix socket is not trusted, and would lose the addresses that it sent.
    header_up X-Forwarded-For "{http.request.header.X-Forwarded-For}, unix:"
  }
}
`,
};

export class ReverseProxy implements AsyncDisposable {
  /** The path of its Unix socket. */
  readonly path: string;
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(folder: string, child: ChildProcess) {
    this.path = `${folder}/proxy.sock`;
    this.#folder = folder;
    this.#child = child;
    this.#exited = once(child, "exit");
  }

  /** Starts the program at `place` in front of the server at `port`. */
  static async start(kind: ProxyKind, place: string, port: number, patience: number): Promise<ReverseProxy> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
    await writeFile(join(folder, "config"), kind.config(folder, port, patience));
    const child = spawn(place, kind.args(folder), {
      cwd: folder,
      // Caddy saves its configuration there.
      env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder },
      stdio: ["ignore", "inherit", kind.reportsStart ? "ignore" : "inherit"],
    });
    const proxy = new ReverseProxy(folder, child);
    await proxy.#up();
    return proxy;
  }

  /** There is no event for the start of listening. */
  async #up(): Promise<void> {
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error(`the proxy ended with ${this.#child.exitCode}`);
      const socket = connect(this.path);
      const up = await Promise.race([once(socket, "connect"), once(socket, "error")]).then(
        ([error]) => error === undefined,
        () => false,
      );
      socket.destroy();
      if (up) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Kills it: its connections end without a closing handshake. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#exited;
    await rm(this.#folder, { recursive: true });
  }
}
