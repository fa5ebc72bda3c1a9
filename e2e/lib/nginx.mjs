// Starts and stops an nginx in front of a server of startCaddy, with a TLS
// listener of its own that shows that Caddy's certificate.
//
//   const nginx = await startNginx(caddy, { location: "proxy_read_timeout 3s;" });
//   nginx.url        "https://localhost:34567"
//   nginx.port       34567
//   await nginx.stop();
//
// startNginx(caddies, options):
//   caddies   a server, or several that are asked in turns. Each must serve
//             http://localhost.
//   location  lines for the location that passes everything on.
//   host      what it passes on as Host. Default: $http_host, the client's.
//   upstream  where the server is asked, such as "unix:/run/caddy.sock".
//             Default: its HTTP port on 127.0.0.1.
//   servers   a function that gets {port, certificate, key} and returns what is
//             in place of the server that this file writes.
//
// $NGINX is the executable. Default: nginx, as in the PATH.

import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import fs from "node:fs/promises";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { reservePorts } from "./ports.mjs";

const timeout = 20_000;

/** The lines with which nginx passes WebSockets on. */
export const passWebSockets = `
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection "upgrade";
`;

/** Starts nginx; see the head of this file. */
export async function startNginx(caddies, { location = "", host = "$http_host", upstream, servers } = {}) {
  const [first, ...others] = [caddies].flat();
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), "socketio-nginx-"));
  const [port] = await reservePorts(1);
  const certificate = path.join(first.dir, "data/caddy/certificates/local/localhost/localhost");
  const asked = upstream === undefined ? [first, ...others].map((caddy) => `127.0.0.1:${caddy.httpPort}`) : [upstream];
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const config = path.join(dir, "nginx.conf");
  await fs.writeFile(config, `
${process.getuid() === 0 ? "user root;" : ""}
daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log stderr error;
events { worker_connections 256; }
http {
	access_log off;
	${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join("\n\t")}
	${servers?.({ port, certificate: `${certificate}.crt`, key: `${certificate}.key` }) ?? `
	upstream caddy {
		${asked.map((address) => `server ${address};`).join("\n\t\t")}
	}
	server {
		listen 127.0.0.1:${port} ssl;
		server_name localhost;
		ssl_certificate ${certificate}.crt;
		ssl_certificate_key ${certificate}.key;
		location / {
			proxy_pass http://caddy;
			proxy_set_header Host ${host};
			${location}
		}
	}`}
}
`);
  const child = spawn(process.env.NGINX || "nginx", ["-p", dir, "-c", config], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (output = (output + text).slice(-100_000)));
  }
  let failure;
  const exited = new Promise((resolve) => {
    child.once("error", (error) => resolve((failure = error)));
    child.once("exit", (code) => resolve((failure ??= new Error(`nginx ended with status ${code}`))));
  });
  // The master ends its worker when it is asked to end; SIGKILL would leave that behind.
  const onExit = () => {
    child.kill("SIGTERM");
    rmSync(dir, { recursive: true, force: true });
  };
  process.once("exit", onExit);
  const stop = async () => {
    process.off("exit", onExit);
    child.kill("SIGTERM");
    await exited;
    await fs.rm(dir, { recursive: true, force: true });
  };

  const url = `https://localhost:${port}`;
  const deadline = Date.now() + timeout;
  while (!(await answers(url, first.ca))) {
    if (failure !== undefined || Date.now() > deadline) {
      await stop();
      throw new Error(`nginx does not answer: ${failure?.message ?? "no error"}\n${output}`);
    }
    await Promise.race([pause(25), exited]);
  }
  return { url, port, stop };
}

function answers(url, ca) {
  return new Promise((resolve) => {
    const request = https.get(`${url}/health`, { ca, agent: false, timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}
