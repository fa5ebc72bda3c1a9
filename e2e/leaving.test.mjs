// What clients see of a server that leaves: the end of the process, with and
// without shutdown_delay, a hub that a reload removes, an origin that a reload
// no longer allows.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startCaddy } from "./lib/caddy.mjs";
import { happens, limit, withClients } from "./lib/client.mjs";
import { request } from "./lib/http.mjs";

const site = (options = "") => `localhost {
	socketio_stream {
		health /health
		${options}
	}
}`;

const handshake = "/socket.io/?EIO=4&transport=polling";
const transportLost = /^transport (close|error)$/;

async function withCaddy(caddyfile, global, body) {
  const caddy = await startCaddy({ caddyfile, global });
  try {
    await withClients(caddy, (join) => body(caddy, join));
  } finally {
    await caddy.stop();
  }
}

// unavailable resolves to the first answer to a path that says that the server stops.
async function unavailable(caddy, path) {
  const deadline = Date.now() + limit;
  for (;;) {
    const answer = await request(caddy, path);
    if (answer.status === 503) {
      return answer;
    }
    assert.ok(Date.now() < deadline, `${path} is answered ${answer.status} all the time`);
    await pause(5);
  }
}

test("during shutdown_delay health says 503 and everything else goes on", () =>
  withCaddy(site(), "shutdown_delay 5s", async (caddy, join) => {
    const old = await Promise.all(["polling", "websocket", "upgrade"].map((mode) => join(mode)));
    const ends = old.map((client) => happens(client.socket, "disconnect"));
    caddy.signal("SIGTERM");
    await unavailable(caddy, "/health");
    const late = await join("websocket");
    for (const client of old) {
      client.emit("message", `from ${client.mode}`);
      assert.deepEqual(await late.next("message"), [`from ${client.mode}`]);
    }
    assert.deepEqual(old.flatMap((client) => client.disconnects), []);
    for (const reason of await Promise.all(ends)) {
      assert.match(reason, transportLost);
    }
    assert.deepEqual(await caddy.stop(), { code: 0, signal: null });
  }));

test("clients are closed in turns while newcomers are told to wait", () =>
  withCaddy(site(), "", async (caddy, join) => {
    const clients = [];
    // Two seconds' worth, since at least 200 are closed in one.
    while (clients.length < 400) {
      const modes = ["websocket", "websocket", "websocket", "polling"];
      clients.push(...(await Promise.all(modes.map((mode) => join(mode)))));
    }
    const ends = clients.map(({ socket }) => happens(socket, "disconnect"));
    const exit = caddy.stop();
    // One answer tells all: on a busy machine the server may be gone before the next one.
    const refusal = await unavailable(caddy, handshake);
    assert.match(refusal.headers["retry-after"], /^([1-9]|10)$/);
    assert.ok(clients.some(({ socket }) => socket.connected), "nobody is left to be closed later");
    for (const reason of await Promise.all(ends)) {
      assert.match(reason, transportLost);
    }
    assert.deepEqual(await exit, { code: 0, signal: null });
  }));

test("clients of a removed hub come back when a later reload names it again", () =>
  withCaddy(site(), "", async (caddy, join) => {
    const patient = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
    const clients = await Promise.all(["polling", "websocket", "upgrade"].map((mode) => join(mode, patient)));
    await caddy.reload("localhost {\n\trespond nobody\n}");
    for (const client of clients) {
      assert.match((await client.next("(disconnect)"))[0], transportLost);
    }
    await caddy.reload(site());
    for (const client of clients) {
      await client.next("(connect)");
    }
    clients[0].emit("message", "again");
    for (const client of clients.slice(1)) {
      assert.deepEqual(await client.next("message"), ["again"]);
    }
  }));

test("clients of an origin that is no longer allowed are disconnected", () =>
  withCaddy(site("cors {\n origins https://a.example.com https://b.example.com\n }"), "", async (caddy, join) => {
    const from = (origin) => ({ extraHeaders: { Origin: origin } });
    for (const mode of ["websocket", "polling", "upgrade"]) {
      const a = await join(mode, from("https://a.example.com"));
      const b = await join(mode, from("https://b.example.com"));
      await caddy.reload(site("cors {\n origins https://b.example.com\n }"));
      assert.match((await a.next("(disconnect)"))[0], transportLost);
      await caddy.logged(/origin no longer allowed/);
      b.emit("message", "still here");
      assert.equal(b.socket.connected, true);
      await caddy.reload(site("cors {\n origins https://a.example.com https://b.example.com\n }"));
      assert.deepEqual(b.disconnects, []);
      b.close();
    }
  }));
