// Runs a real Prometheus, and the promtool that comes with it, for a test.
//
//   const prometheus = await startPrometheus(["localhost:2019"]);
//   await prometheus.query("up")       the series of an instant vector, each
//                                      as {labels, value}
//   await prometheus.names()           the names of all metrics
//   await prometheus.value("sum(up)")  the one value, or undefined
//   await prometheus.until("up", 1)    resolves once the one value is that
//   await prometheus.scraped()         resolves when a scrape has begun and
//                                      ended since it was called, to its time
//   await prometheus.stop()
//
// query and value take a time as well, which is that of a scrape: what it has
// seen stays, while a later one that fails, as on a busy machine, leaves nothing
// to be seen at the present.
//
//   await promtool(["check", "metrics"], text)   {code, output}

import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import { rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { reservePorts } from "./ports.mjs";

const limit = 30_000;

/** Starts a Prometheus that scrapes these addresses twice a second. */
export async function startPrometheus(targets) {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), "socketio-stream-prometheus-"));
  const [port] = await reservePorts(1);
  const config = path.join(dir, "prometheus.yml");
  await fs.writeFile(
    config,
    `global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
scrape_configs:
  - job_name: caddy
    static_configs:
      - targets: ${JSON.stringify(targets)}
`,
  );
  const prometheus = new Prometheus(dir, port);
  try {
    await prometheus.start([
      `--config.file=${config}`,
      `--storage.tsdb.path=${path.join(dir, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
  } catch (err) {
    await prometheus.stop();
    throw err;
  }
  return prometheus;
}

class Prometheus {
  constructor(dir, port) {
    this.dir = dir;
    this.url = `http://127.0.0.1:${port}`;
    this.output = "";
  }

  async start(args) {
    const child = spawn("prometheus", args, { cwd: this.dir, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    }
    this.exited = new Promise((resolve) => {
      child.once("error", (err) => {
        this.failure = err;
        resolve();
      });
      child.once("close", (code, signal) => {
        this.failure ??= new Error(`Prometheus ended with ${signal ?? `status ${code}`}\n${this.output}`);
        resolve();
      });
    });
    // A test file that dies half-way must not leave it behind.
    this.onExit = () => {
      child.kill("SIGKILL");
      rmSync(this.dir, { recursive: true, force: true });
    };
    process.on("exit", this.onExit);
    await this.#eventually("Prometheus to be ready", async () => {
      const answer = await fetch(`${this.url}/-/ready`).catch(() => undefined);
      return answer?.ok;
    });
  }

  async #ask(path) {
    const answer = await fetch(`${this.url}/api/v1/${path}`);
    const { status, error, data } = await answer.json();
    if (status !== "success") {
      throw new Error(`${path}: ${error}`);
    }
    return data;
  }

  names() {
    return this.#ask("label/__name__/values");
  }

  async query(expression, time = undefined) {
    const at = time === undefined ? "" : `&time=${time}`;
    const data = await this.#ask(`query?query=${encodeURIComponent(expression)}${at}`);
    return data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
  }

  async value(expression, time = undefined) {
    const series = await this.query(expression, time);
    if (series.length > 1) {
      throw new Error(`${expression} has ${series.length} values`);
    }
    return series[0]?.value;
  }

  async until(expression, wanted) {
    let last;
    await this.#eventually(
      `${expression} to be ${wanted}`,
      async () => (last = await this.value(expression)) === wanted,
      () => `it is ${last}`,
    );
  }

  async scraped() {
    const now = Date.now() / 1000;
    let time;
    await this.#eventually("a scrape", async () => (time = await this.value("min(timestamp(up == 1))")) > now);
    return time;
  }

  async stop() {
    this.child?.kill("SIGTERM");
    await this.exited;
    if (this.onExit !== undefined) {
      process.off("exit", this.onExit);
    }
    await fs.rm(this.dir, { recursive: true, force: true });
  }

  async #eventually(what, condition, state = () => "") {
    for (const deadline = Date.now() + limit; !(await condition()); await pause(50)) {
      if (this.failure !== undefined) {
        throw this.failure;
      }
      if (Date.now() > deadline) {
        throw new Error(`waited in vain for ${what}: ${state()}\n${this.output}`);
      }
    }
  }
}

/** Runs promtool with a text on its standard input. */
export function promtool(args, input) {
  return new Promise((resolve, reject) => {
    const child = spawn("promtool", args, { stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    }
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output }));
    child.stdin.end(input);
  });
}
