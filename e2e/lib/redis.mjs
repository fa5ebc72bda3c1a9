// Starts and stops a Redis for a test, on a port of its own and without files.
//
//   const redis = await startRedis();
//   redis.url        "redis://127.0.0.1:23456"
//   await redis.kill();   SIGKILL
//   await redis.start();  once more, on the same port
//   await redis.stop();

import { spawn } from "node:child_process";
import os from "node:os";
import { reservePorts } from "./ports.mjs";

/** Starts a Redis; see the head of this file. */
export async function startRedis() {
  const [port] = await reservePorts(1);
  const redis = new Redis(port);
  await redis.start();
  return redis;
}

class Redis {
  constructor(port) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
  }

  async start() {
    const args = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.tmpdir()];
    const child = spawn("redis-server", args.map(String), { stdio: ["ignore", "pipe", "inherit"] });
    this.child = child;
    this.onExit = () => child.kill("SIGKILL");
    process.on("exit", this.onExit);
    this.exited = new Promise((resolve) => child.once("exit", resolve));
    child.stdout.setEncoding("utf8");
    await new Promise((resolve, reject) => {
      let output = "";
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`Redis has ended:\n${output}`)));
      child.stdout.on("data", (text) => {
        output += text;
        if (/Ready to accept connections/.test(output)) resolve();
      });
    });
  }

  async kill() {
    this.child.kill("SIGKILL");
    await this.exited;
    process.off("exit", this.onExit);
  }

  async stop() {
    await this.kill();
  }
}
