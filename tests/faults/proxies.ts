/** nginx and HAProxy, as somebody else's machine would run them before a server of ours: on a unix socket, so that no port is taken. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Program } from "../programs.js";

export interface ProxyKind extends Program {
  /** Runs it in the foreground, in `folder`. */
  readonly args: (folder: string) => readonly string[];
  /** Before the server at `port`, of which nobody outside may ask for /private. It gives up whoever is silent for `patience` s. */
  readonly config: (folder: string, port: number, patience: number) => string;
}

export const NGINX: ProxyKind = {
  name: "nginx",
  install: "apt-get install nginx-light",
  places: ["/usr/sbin/nginx", "nginx"],
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
          proxy_read_timeout ${patience}s;
        }
      }
    }`,
};

export const HAPROXY: ProxyKind = {
  name: "haproxy",
  install: "apt-get install haproxy",
  places: ["/usr/sbin/haproxy", "haproxy"],
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
  default_backend inside
backend inside
  server one 127.0.0.1:${port}
`,
};

export class ReverseProxy implements AsyncDisposable {
  /** Where it listens. */
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

  /** Starts the program at `place` before the server at `port`. */
  static async start(kind: ProxyKind, place: string, port: number, patience: number): Promise<ReverseProxy> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
    await writeFile(join(folder, "config"), kind.config(folder, port, patience));
    const child = spawn(place, kind.args(folder), { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
    const proxy = new ReverseProxy(folder, child);
    await proxy.#up();
    return proxy;
  }

  /** Nothing tells when it listens. */
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

  /** Ends it without a word to those whom it connects. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#exited;
    await rm(this.#folder, { recursive: true });
  }
}
