// Starts and stops Caddy for a test. Each server has a directory of its own
// under the temporary directory (configuration, certificates, data), ports of
// its own on the loopback interface, and a certificate authority of its own.
//
//   const caddy = await startCaddy({
//     caddyfile: "localhost {\n\tsocketio_stream\n}\n",
//   });
//   caddy.url        "https://localhost:23456"
//   caddy.ca         the root certificate (PEM), to verify TLS with
//   await caddy.stop();
//
// startCaddy(options):
//   bin        the executable. Default: $CADDY_BIN, or build/caddy.
//   caddyfile  text of the Caddyfile without its global options, or a function
//              that gets {httpPort, httpsPort, adminPort, dir} and returns it.
//              Name the site `localhost`: it is served at the returned url.
//   global     more global options, text, put beside those this file writes.
//   file       in place of caddyfile: path of a Caddyfile to run as it is,
//              global options included. It must take its ports from
//              {$HTTPS_PORT} and {$HTTP_PORT}; it runs in its own folder.
//   socketio   options of socketio_stream, as JSON, in place of those that the
//              file has.
//   env        more environment variables for Caddy.
//   timeout    milliseconds Caddy has to answer in. Default 30000.
//
// The returned server:
//   pid, dir, httpPort, httpsPort, adminPort
//   url        https://localhost:<httpsPort>
//   httpURL    http://localhost:<httpPort>
//   adminURL   http://localhost:<adminPort>
//   ca, caFile the root certificate as text, and its path
//   log()      everything Caddy has written so far
//   logged(pattern)  resolves once what Caddy has written matches
//   signal(s)  sends a signal to Caddy
//   stop()     SIGTERM, waits for the exit, removes the directory; can be
//              called twice. Resolves to {code, signal} of the exit. Rejects if
//              Caddy had crashed, or its race detector has seen something.
//   restart(between)  SIGTERM, waits, calls between if it is given, and
//              starts again on the same ports with the same certificates.
//   crash()    the same with SIGKILL.
//   metrics()  all metrics, as text
//   metric(name, labels)  the sum of a Prometheus metric over all its series
//              with these labels
//   reload(caddyfile, global)  POSTs a new Caddyfile (same form as above) to
//              the admin endpoint and resolves once it is in effect, and the
//              servers of the one before do not listen any more.

import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import { readFileSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { reservePorts } from "./ports.mjs";

/** The root of the repository. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** The Caddy that ./xcaddy.sh builds. */
export const caddyBin = path.resolve(root, process.env.CADDY_BIN || "build/caddy");

/** The race-checked Caddy with the `echo` events, built by ./test.sh. */
export const e2eBin = path.resolve(root, process.env.CADDY_E2E_BIN || "build/caddy-e2e");

// A run that is broken off ends by its exit, like any other, and takes along
// what it has started.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => process.exit(1));
}

// How long anything that has to happen may take, in milliseconds.
const limit = 30_000;

/** Starts Caddy; see the head of this file. */
export async function startCaddy(options = {}) {
  const { bin = caddyBin, caddyfile, global = "", file, socketio = {}, env = {}, timeout = limit } = options;
  if ((caddyfile === undefined) === (file === undefined)) {
    throw new TypeError("startCaddy needs either caddyfile or file");
  }
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), "socketio-stream-"));
  const [httpPort, httpsPort, adminPort] = await reservePorts(3);
  const server = new Server({ bin, dir, httpPort, httpsPort, adminPort, env, timeout });
  try {
    server.args = file === undefined
      ? await server.writeCaddyfile(caddyfile, global)
      : await server.adaptFile(path.resolve(file), socketio);
    await server.start();
  } catch (err) {
    await server.discard();
    throw err;
  }
  return server;
}

class Server {
  constructor({ bin, dir, httpPort, httpsPort, adminPort, env, timeout }) {
    this.bin = bin;
    this.dir = dir;
    this.httpPort = httpPort;
    this.httpsPort = httpsPort;
    this.adminPort = adminPort;
    this.url = `https://localhost:${httpsPort}`;
    this.httpURL = `http://localhost:${httpPort}`;
    this.adminURL = `http://localhost:${adminPort}`;
    this.caFile = path.join(dir, "data/caddy/pki/authorities/local/root.crt");
    this.ca = undefined;
    this.pid = undefined;
    this.timeout = timeout;
    this.cwd = dir;
    this.output = "";
    this.env = {
      ...process.env,
      HOME: dir,
      XDG_DATA_HOME: path.join(dir, "data"),
      XDG_CONFIG_HOME: path.join(dir, "config"),
      CADDY_ADMIN: `localhost:${adminPort}`,
      HTTP_PORT: String(httpPort),
      HTTPS_PORT: String(httpsPort),
      ...env,
    };
  }

  log() {
    return this.output;
  }

  async logged(pattern) {
    const deadline = Date.now() + limit;
    while (!pattern.test(this.output)) {
      if (Date.now() > deadline) {
        throw new Error(`nothing like ${pattern} in the log\n${this.output}`);
      }
      await pause(10);
    }
  }

  signal(name) {
    this.child.kill(name);
  }

  async stop() {
    try {
      return this.#judge(await this.#end());
    } finally {
      await this.#clear();
    }
  }

  // discard stops a server that has failed already and says nothing more.
  async discard() {
    try {
      await this.#end();
    } finally {
      await this.#clear();
    }
  }

  async restart(between = async () => {}) {
    this.#judge(await this.#end());
    await between();
    await this.start();
  }

  async crash() {
    this.signal("SIGKILL");
    await this.exited;
    await this.start();
  }

  async reload(caddyfile, global = "") {
    const body = this.#text(caddyfile, global);
    const headers = { "Content-Type": "text/caddyfile" };
    const { status, text } = await exchange(`${this.adminURL}/load`, headers, body);
    if (status !== 200) {
      throw new Error(`reload answered ${status}: ${text}`);
    }
    await this.#settled();
  }

  // settled waits until each port has one socket that listens. Caddy answers
  // before the old servers have closed theirs, and whoever connects to one of
  // those is answered by the old configuration, or by nobody.
  async #settled() {
    const ports = [this.httpPort, this.httpsPort, this.adminPort];
    const deadline = Date.now() + limit;
    while (ports.some((port) => listeners(port) > 1)) {
      if (Date.now() > deadline) {
        throw new Error(`the servers of the configuration before still listen\n${this.output}`);
      }
      await pause(2);
    }
  }

  async metrics() {
    const { status, text } = await exchange(`${this.adminURL}/metrics`);
    if (status !== 200) {
      throw new Error(`the metrics answered ${status}: ${text}`);
    }
    return text;
  }

  async metric(name, labels = {}) {
    const text = await this.metrics();
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    return text
      .split("\n")
      .filter((line) => line.startsWith(name) && wanted.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  // start runs the executable and returns once the HTTPS port answers a request
  // over a verified connection.
  async start() {
    const child = spawn(this.bin, this.args, {
      cwd: this.cwd,
      env: this.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    this.pid = child.pid;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.output += text;
      });
    }
    let failure;
    this.exited = new Promise((resolve) => {
      child.once("error", (err) => {
        failure = err;
        resolve({ code: null, signal: null });
      });
      // Its last words have been read by then.
      child.once("close", (code, signal) => {
        failure ??= new Error(`Caddy ended with ${signal ?? `status ${code}`}`);
        resolve({ code, signal });
      });
    });
    // A test file that dies half-way must not leave its server behind.
    this.#forget();
    this.onExit = () => {
      child.kill("SIGKILL");
      rmSync(this.dir, { recursive: true, force: true });
    };
    process.on("exit", this.onExit);

    const deadline = Date.now() + this.timeout;
    let last = new Error("it was not asked yet");
    while (failure === undefined && Date.now() < deadline) {
      try {
        this.ca = readFileSync(this.caFile, "utf8");
        await answers(this.url, this.ca);
        return;
      } catch (err) {
        last = err;
      }
      await Promise.race([pause(25), this.exited]);
    }
    const reason = failure ?? new Error(`Caddy did not answer within ${this.timeout} ms: ${last.message}`);
    reason.message += `\n${this.bin} ${this.args.join(" ")}\n${this.output}`;
    throw reason;
  }

  async writeCaddyfile(caddyfile, global) {
    const config = path.join(this.dir, "Caddyfile");
    await fs.writeFile(config, this.#text(caddyfile, global));
    return ["run", "--config", config, "--adapter", "caddyfile"];
  }

  // adaptFile turns a Caddyfile that cannot be written to into the same
  // configuration kept off the machine's certificate store and on loopback, with
  // the options of socketio_stream that are given.
  async adaptFile(file, socketio) {
    this.cwd = path.dirname(file);
    const { stdout } = await run(this.bin, ["adapt", "--config", file, "--adapter", "caddyfile"], {
      cwd: this.cwd,
      env: this.env,
    });
    const config = JSON.parse(stdout, (key, value) =>
      value?.handler === "socketio_stream" ? { ...value, ...socketio } : value,
    );
    config.admin = { ...config.admin, listen: `localhost:${this.adminPort}` };
    config.apps.pki ??= {};
    config.apps.pki.certificate_authorities ??= {};
    config.apps.pki.certificate_authorities.local = {
      ...config.apps.pki.certificate_authorities.local,
      install_trust: false,
    };
    for (const site of Object.values(config.apps.http.servers)) {
      site.listen = site.listen.map((address) => address.replace(/^:/, "127.0.0.1:"));
    }
    const adapted = path.join(this.dir, "caddy.json");
    await fs.writeFile(adapted, JSON.stringify(config));
    return ["run", "--config", adapted];
  }

  #text(caddyfile, global) {
    const body = typeof caddyfile === "function" ? caddyfile(this) : caddyfile;
    return `{
	admin localhost:${this.adminPort}
	http_port ${this.httpPort}
	https_port ${this.httpsPort}
	default_bind 127.0.0.1
	local_certs
	skip_install_trust
${indent(global)}}

${body}
`;
  }

  // judge passes the exit on if Caddy has ended as one that was asked to ends.
  #judge(exit) {
    if (this.output.includes("WARNING: DATA RACE")) {
      throw new Error(`the race detector saw something\n${this.output}`);
    }
    if (this.child !== undefined && exit.code !== 0) {
      throw new Error(`Caddy ended with ${exit.signal ?? `status ${exit.code}`}\n${this.output}`);
    }
    return exit;
  }

  async #clear() {
    this.#forget();
    await fs.rm(this.dir, { recursive: true, force: true });
  }

  #forget() {
    if (this.onExit !== undefined) {
      process.off("exit", this.onExit);
    }
  }

  async #end() {
    if (this.child === undefined) {
      return { code: null, signal: null };
    }
    this.child.kill("SIGTERM");
    const timer = new AbortController();
    const exit = await Promise.race([
      this.exited,
      pause(limit, undefined, { signal: timer.signal }).catch(() => undefined),
    ]);
    timer.abort();
    if (exit === undefined) {
      this.child.kill("SIGKILL");
      await this.exited;
      throw new Error(`Caddy did not end within ${limit} ms of SIGTERM\n${this.output}`);
    }
    return exit;
  }
}

// listeners counts the sockets that listen on a port of 127.0.0.1. Where the
// system does not tell, it is one.
function listeners(port) {
  let table;
  try {
    table = readFileSync("/proc/net/tcp", "utf8");
  } catch {
    return 1;
  }
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table.split("\n").filter((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return local === address && state === "0A";
  }).length;
}

function indent(text) {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => `\t${line}\n`)
    .join("");
}

// answers resolves when the server sends any HTTP response, and rejects
// otherwise.
function answers(url, ca) {
  return new Promise((resolve, reject) => {
    const request = https.get(`${url}/`, { ca, agent: false, timeout: 5_000 }, (response) => {
      response.resume();
      resolve();
    });
    request.on("timeout", () => request.destroy(new Error("no answer in 5000 ms")));
    request.on("error", reject);
  });
}

// exchange sends a request to the admin endpoint: a POST if there is a body.
function exchange(url, headers = {}, body = undefined) {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    const request = http.request(url, { method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode, text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

function run(bin, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(bin, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) {
        resolve({ stdout, stderr });
      } else {
        reject(new Error(`${bin} ${args.join(" ")} ended with status ${code}\n${stderr}`));
      }
    });
  });
}
