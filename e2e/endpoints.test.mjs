// The service's addresses: both Socket.IO paths, health, status, and the
// client files.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fs from "node:fs";
import path from "node:path";
import { root, startCaddy } from "./lib/caddy.mjs";
import { modes, withClients } from "./lib/client.mjs";
import { nobodyLeft, request } from "./lib/http.mjs";

const dist = path.join(root, "e2e/node_modules/socket.io-client/dist");

let caddy;

before(async () => {
  caddy = await startCaddy({
    caddyfile: ({ dir }) => {
      fs.writeFileSync(path.join(dir, "index.html"), "<h1>the next handler</h1>");
      return `localhost {
	root ${dir}
	socketio_stream {
		path /socket.io/ /streaming/socket.io/
		health /health /streaming/health
		status /status
	}
	file_server
}`;
    },
  });
});

after(() => caddy?.stop());

describe("paths", () => {
  for (const mode of Object.keys(modes)) {
    test(`both lead to the same hub by ${mode}`, () =>
      withClients(caddy, async (join) => {
        const one = await join(mode);
        const other = await join(mode, { path: "/streaming/socket.io/" });
        one.emit("message", { from: "one" });
        assert.deepEqual(await other.next("message"), [{ from: "one" }]);
        other.emit("stream:data", { from: "other", chunk: Buffer.from("x") });
        assert.deepEqual(await one.next("stream:data"), [
          { from: "other", chunk: Buffer.from("x") },
        ]);
      }));
  }

  test("what is not the service's own goes to the next handler", async () => {
    const page = await request(caddy, "/");
    assert.equal(page.status, 200);
    assert.match(page.text, /the next handler/);
    assert.equal((await request(caddy, "/streaming/other")).status, 404);
    assert.equal((await request(caddy, "/healthy")).status, 404);
  });
});

describe("health and status", () => {
  test("/health tells the service, its port and its connections", () =>
    withClients(caddy, async (join) => {
      await nobodyLeft(caddy);
      await join("polling");
      await join("websocket", { path: "/streaming/socket.io/" });
      const answer = await request(caddy, "/health");
      assert.equal(answer.status, 200);
      isJSON(answer);
      const health = answer.json();
      assert.deepEqual(Object.keys(health).sort(), [
        "connections",
        "port",
        "service",
        "status",
        "timestamp",
        "version",
      ]);
      assert.equal(health.status, "ok");
      assert.equal(health.service, "socket-io-streaming");
      assert.equal(health.port, String(caddy.httpsPort));
      assert.equal(health.connections, 2);
      assert.equal(typeof health.version, "string");
      isNow(health.timestamp);
    }));

  test("/streaming/health tells its path", async () => {
    const answer = await request(caddy, "/streaming/health");
    assert.equal(answer.status, 200);
    isJSON(answer);
    const health = answer.json();
    isNow(health.timestamp);
    assert.deepEqual(health, {
      status: "ok",
      service: "socket-io-streaming",
      path: "/streaming",
      timestamp: health.timestamp,
    });
  });

  test("/status tells uptime, memory and Socket.IO's state to loopback", async () => {
    const answer = await request(caddy, "/status");
    assert.equal(answer.status, 200);
    isJSON(answer);
    const status = answer.json();
    assert.deepEqual(Object.keys(status).sort(), [
      "memory",
      "port",
      "service",
      "socketio",
      "status",
      "uptime",
    ]);
    assert.equal(status.status, "running");
    assert.equal(status.service, "socket-io-streaming");
    assert.ok(status.uptime >= 0);
    assert.deepEqual(Object.keys(status.memory).sort(), [
      "external",
      "heapTotal",
      "heapUsed",
      "rss",
    ]);
    for (const [name, bytes] of Object.entries(status.memory)) {
      assert.ok(Number.isInteger(bytes) && bytes >= 0, `${name} is a number of bytes`);
    }
    assert.ok(status.memory.rss > 0);
    assert.ok(status.memory.heapUsed <= status.memory.heapTotal);
    assert.equal(String(status.port), String(caddy.httpsPort));
    assert.equal(typeof status.socketio.connected, "number");
    assert.ok("path" in status.socketio);
  });
});

describe("client files", () => {
  const files = ["socket.io.min.js", "socket.io.js", "socket.io.esm.min.js"];

  test("by default they are at the official CDN, at one version", async () => {
    for (const file of files) {
      const answer = await request(caddy, `/socket.io/${file}`);
      assert.equal(answer.status, 302);
      assert.match(
        answer.headers.location,
        new RegExp(`^https://cdn\\.socket\\.io/4\\.8\\.\\d+/${file.replaceAll(".", "\\.")}$`),
      );
    }
  });

  test("a folder serves them itself", async () => {
    const server = await startCaddy({ caddyfile: site(`serve_client ${dist}`) });
    try {
      for (const file of files) {
        const answer = await request(server, `/socket.io/${file}`);
        assert.equal(answer.status, 200);
        assert.match(answer.headers["content-type"], /^(text|application)\/javascript\b/);
        assert.equal(answer.text, fs.readFileSync(path.join(dist, file), "utf8"));
      }
      for (const outside of ["../package.json", "..%2fpackage.json", "package.json"]) {
        const answer = await request(server, `/socket.io/${outside}`);
        assert.ok(answer.status >= 400, `${outside} answers ${answer.status}`);
      }
    } finally {
      await server.stop();
    }
  });

  test("off serves none", async () => {
    const server = await startCaddy({ caddyfile: site("serve_client off") });
    try {
      for (const file of files) {
        const answer = await request(server, `/socket.io/${file}`);
        assert.ok(answer.status >= 400, `${file} answers ${answer.status}`);
      }
    } finally {
      await server.stop();
    }
  });
});

function site(line) {
  return `localhost {\n\tsocketio_stream {\n\t\t${line}\n\t}\n}`;
}

function isJSON(answer) {
  assert.match(answer.headers["content-type"], /^application\/json\b/);
}

function isNow(timestamp) {
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  assert.ok(Math.abs(Date.now() - Date.parse(timestamp)) < 60_000, timestamp);
}
