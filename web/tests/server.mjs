/** Serves a model in `MODE=http` with the installed wheel, on a free port. */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PYTHON = process.env.TEST_PYTHON ?? `${ROOT}.venv/bin/python`;
/** The timeout of each wait, in milliseconds. */
const TIMEOUT = 60_000;

export const model = (name) => fileURLToPath(new URL(`models/${name}.py`, import.meta.url));
export const example = (path) => `${ROOT}examples/${path}`;

export class Server {
  static async start(program, settings = {}) {
    const environment = { ...process.env, MODE: "http", PORT: "0", HOST: "127.0.0.1" };
    // The tests read the log in the format that a terminal shows.
    environment.AI_INTEGRATION_LOG_FORMAT = "human";
    const child = spawn(PYTHON, [program], { env: { ...environment, ...settings } });
    const server = new Server(child);
    server.url = await server.waitForLog(/listening on (http:\/\/[^\s/]+)/);
    await server.waitUntilReady();
    return server;
  }

  constructor(child) {
    this.child = child;
    this.log = "";
    this.ended = new Promise((ended) => child.once("exit", ended));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.log += text;
      });
    }
  }

  async waitForLog(pattern) {
    const deadline = Date.now() + TIMEOUT;
    while (Date.now() < deadline && this.child.exitCode === null) {
      const found = pattern.exec(this.log);
      if (found) return found[1] ?? found[0];
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the server did not log ${pattern}:\n${this.log}`);
  }

  async waitUntilReady() {
    const deadline = Date.now() + TIMEOUT;
    while (Date.now() < deadline) {
      if ((await fetch(`${this.url}/readyz`)).ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the model did not become ready:\n${this.log}`);
  }

  async stop() {
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 15_000);
    await this.ended;
    clearTimeout(timer);
  }
}
