// A new configuration while clients are connected: nobody is disconnected and
// no message is lost, because hubs outlive a configuration.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startCaddy } from "./lib/caddy.mjs";
import { limit, withClients } from "./lib/client.mjs";
import { nobodyLeft, request } from "./lib/http.mjs";

const generations = 6;

// Counts the requests Caddy is dealing with, which is how a test sees a poll.
const global = "metrics";

const site = (generation) => `localhost {
	header X-Generation ${generation}
	socketio_stream {
		path /socket.io/ /streaming/socket.io/
		health /health
	}
}`;

const elsewhere = { path: "/streaming/socket.io/" };

describe("a reload", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({ caddyfile: site(1), global });
  });

  after(() => caddy?.stop());

  test("does not interrupt those who are talking", () =>
    withClients(caddy, async (join) => {
      const clients = await Promise.all([
        join("websocket"),
        join("websocket", elsewhere),
        join("upgrade"),
        join("upgrade", elsewhere),
      ]);
      const ids = clients.map((client) => client.id);

      // Each message goes out when all have the one before, so the traffic
      // never rests while the configuration changes.
      let reloading = true;
      let sent = 0;
      const traffic = (async () => {
        for (let after = 0; after < 20; after += reloading ? 0 : 1, sent++) {
          await everyoneHears(clients, clients[sent % clients.length], sent);
        }
      })();
      const reloads = (async () => {
        for (let generation = 2; generation <= generations; generation++) {
          await caddy.reload(site(generation), global);
          await inEffect(caddy, generation);
        }
        reloading = false;
      })();
      // Both are awaited together: traffic that stops must end the test.
      await Promise.all([traffic, reloads]);

      assert.ok(sent > 20, "messages went through while the configuration changed");
      assert.deepEqual(clients.map((client) => client.id), ids);
      assert.deepEqual(clients.flatMap((client) => client.disconnects), []);
    }));

  // Go's HTTP server drops a request that comes on a connection it accepted
  // before it was told to stop and that arrives after, whoever would answer
  // it. So those who open a connection for each request are to be quiet at the
  // moment of the reload, with nothing but their poll waiting.
  test("leaves pending polls to be answered", () =>
    withClients(caddy, async (join) => {
      await nobodyLeft(caddy);
      const clients = await Promise.all([join("polling"), join("polling", elsewhere)]);
      const fast = await join("websocket");
      const all = [...clients, fast];
      const ids = all.map((client) => client.id);
      await everyoneHears(all, fast, "before");
      for (let generation = 2; generation <= generations; generation++) {
        await waiting(caddy, clients);
        await caddy.reload(site(generation), global);
        await inEffect(caddy, generation);
        for (const sender of all) {
          await everyoneHears(all, sender, `from ${sender.mode} in generation ${generation}`);
        }
      }
      assert.deepEqual(all.map((client) => client.id), ids);
      assert.deepEqual(all.flatMap((client) => client.disconnects), []);
      const health = (await request(caddy, "/health")).json();
      assert.equal(health.connections, all.length);
    }));

  // A hundred clients listen all the time, and those on WebSocket ask as well.
  // Each knows by numbers what it has missed, in both directions. Clients on
  // long-polling only listen: here each of their requests makes a connection of
  // its own, which one that has nothing waiting may make at the wrong moment.
  test("twenty times in a row costs nobody a message", () =>
    withClients(caddy, async (join) => {
      const clients = [];
      for (let i = 0; i < 34; i++) {
        clients.push(...(await Promise.all(["polling", "websocket", "upgrade"].map((mode) => join(mode)))));
      }
      const ids = clients.map((client) => client.id);
      const speaker = await join("websocket");
      let reloading = true;
      const talkative = clients.filter((client) => client.mode !== "polling");
      const questions = talkative.map(async (client, i) => {
        for (let n = 0; reloading; n++) {
          const streamId = `client ${i} question ${n}`;
          const answer = await client.ack("stream:join", { streamId });
          assert.equal(answer.stream?.streamId, streamId);
          await pause(200 + Math.random() * 400);
        }
      });
      let said = 0;
      const speech = (async () => {
        for (; reloading; said++) {
          speaker.emit("message", said);
          await pause(100);
        }
      })();
      const reloads = (async () => {
        try {
          for (let generation = 2; generation < 22; generation++) {
            await caddy.reload(site(generation), global);
          }
        } finally {
          reloading = false;
        }
      })();
      await Promise.all([reloads, speech, ...questions]);
      for (const client of clients) {
        for (let n = 0; n < said; n++) {
          assert.deepEqual(await client.next("message"), [n]);
        }
      }
      assert.deepEqual(clients.map((client) => client.id), ids);
      assert.deepEqual(clients.flatMap((client) => client.disconnects), []);
    }));

  test("brings those who come after it together with those who came before", () =>
    withClients(caddy, async (join) => {
      const old = await join("websocket");
      await caddy.reload(site(7), global);
      for (const mode of ["polling", "websocket", "upgrade"]) {
        const late = await join(mode);
        late.emit("message", mode);
        assert.deepEqual(await old.next("message"), [mode]);
      }
    }));

  test("that fails changes nothing", () =>
    withClients(caddy, async (join) => {
      const clients = await Promise.all([join("websocket"), join("upgrade", elsewhere)]);
      await assert.rejects(
        caddy.reload("localhost {\n\tsocketio_stream {\n\t\tping_timeout 0\n\t}\n}"),
        /reload answered 400/,
      );
      for (const sender of clients) {
        await everyoneHears(clients, sender, "still here");
      }
      assert.deepEqual(clients.flatMap((client) => client.disconnects), []);
    }));
});

// everyoneHears sends a message and waits for all others to have it next.
async function everyoneHears(clients, sender, message) {
  sender.emit("message", message);
  const others = clients.filter((client) => client !== sender);
  for (const args of await Promise.all(others.map((client) => client.next("message")))) {
    assert.deepEqual(args, [message]);
  }
}

// waiting resolves when each client has its poll at the server, and no other
// request on its way.
async function waiting(caddy, clients) {
  const deadline = Date.now() + limit;
  for (;;) {
    const idle = clients.every(({ socket }) => socket.io.engine.transport.writable);
    const inFlight = await caddy.metric("caddy_http_requests_in_flight");
    if (idle && inFlight === clients.length) {
      return;
    }
    assert.ok(Date.now() < deadline, `${inFlight} requests are in flight`);
    await pause(10);
  }
}

// inEffect makes sure that the configuration of a generation answers.
async function inEffect(caddy, generation) {
  const { headers } = await request(caddy, "/");
  assert.equal(headers["x-generation"], String(generation));
}
