// Clients whose connection is cut, with the real socket.io-client: they go on as if nothing had been.

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { limit, withClients } from "./lib/client.mjs";

const site = (recovery) => `localhost {
	socketio_stream {
		${recovery}
		ping_interval 2s
		ping_timeout 2s
		namespace / {
			events relay chat
		}
		namespace /live {
			events streaming {
				audience subscribers
			}
		}
		namespace /sessions {
			events sessions
		}
	}
}`;

const back = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };

/** Cuts the client's connection as a network does that is gone. */
function cut(client) {
  const { engine } = client.socket.io;
  if (engine.transport?.name === "websocket") {
    engine.transport.ws.terminate();
  } else {
    engine.close();
  }
}

/** Cuts the connection, and resolves when the client is back, which must be recovered. */
async function cutAndBack(client) {
  const { id } = client;
  cut(client);
  await client.next("(disconnect)");
  await client.next("(connect)");
  assert.equal(client.socket.recovered, true);
  assert.equal(client.id, id);
}

describe("with recovery", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({ caddyfile: site("recovery") });
  });

  after(() => caddy?.stop());

  test("cuts every two seconds under messages: all are delivered, in order and once", () =>
    withClients(caddy, async (join) => {
      const sender = await join("websocket");
      const receivers = [await join("websocket", back), await join("polling", back), await join("upgrade", back)];
      const got = receivers.map(() => []);
      receivers.forEach((client, i) => client.socket.on("chat", (n) => got[i].push(n)));
      const ids = receivers.map((client) => client.id);
      let cuts = 0;
      const cutting = setInterval(() => {
        cuts++;
        receivers.forEach(cut);
      }, 2000);
      const recovered = receivers.map(() => []);
      receivers.forEach((client, i) => client.socket.on("connect", () => recovered[i].push(client.socket.recovered)));
      const total = 450;
      for (let n = 0; n < total; n++) {
        sender.emit("chat", n);
        await sleep(20);
      }
      clearInterval(cutting);
      sender.emit("chat", "the end");
      for (const client of receivers) {
        await client.next("chat", (n) => n === "the end");
      }
      assert.ok(cuts >= 4);
      const want = [...Array(total).keys(), "the end"];
      receivers.forEach((client, i) => {
        assert.deepEqual(got[i], want);
        assert.equal(client.id, ids[i]);
        assert.ok(recovered[i].length >= 4 && recovered[i].every(Boolean), `recovered: ${recovered[i]}`);
      });
    }));

  test("a client that has heard nothing is recovered, again and again", () =>
    withClients(caddy, async (join) => {
      const client = await join("websocket", back);
      assert.equal(client.socket.recovered, false);
      for (let i = 0; i < 3; i++) {
        await cutAndBack(client);
      }
      const other = await join("websocket");
      other.emit("chat", "first");
      assert.equal((await client.next("chat"))[0], "first");
    }));

  test("a stream goes on, and nobody is told that its owner was away", () =>
    withClients(caddy, async (join) => {
      const live = { namespace: "/live" };
      const owner = await join("websocket", { ...live, ...back });
      const viewer = await join("websocket", { ...live, ...back });
      await owner.ack("stream:start", { streamId: "a" });
      await viewer.ack("stream:join", { streamId: "a" });
      owner.emit("stream:data", { streamId: "a", chunk: Buffer.from("1") });
      await viewer.next("stream:data");
      await cutAndBack(owner);
      cut(viewer);
      await viewer.next("(disconnect)");
      owner.emit("stream:data", { streamId: "a", chunk: Buffer.from("2") });
      await viewer.next("(connect)");
      const [data] = await viewer.next("stream:data");
      assert.deepEqual(data.chunk, Buffer.from("2"));
      assert.equal(viewer.socket.recovered, true);
      assert.deepEqual(viewer.seen("stream:stopped"), []);
      const answer = await viewer.ack("stream:join", { streamId: "a" });
      assert.deepEqual([answer.stream.live, answer.stream.viewers], [true, 1]);
    }));

  test("a member of a session is not seen to leave", () =>
    withClients(caddy, async (join) => {
      const sessions = { namespace: "/sessions" };
      const ada = await join("websocket", { ...sessions, ...back });
      const bob = await join("websocket", { ...sessions, ...back });
      await ada.ack("join", { sessionId: "s", clientName: "Ada" });
      await bob.ack("join", { sessionId: "s", clientName: "Bob" });
      await ada.next("client-joined");
      cut(ada);
      await ada.next("(disconnect)");
      assert.equal((await bob.ack("content", { sessionId: "s", content: "meanwhile" })).success, true);
      await ada.next("(connect)");
      assert.equal((await ada.next("content"))[0].content, "meanwhile");
      assert.equal((await ada.ack("content", { sessionId: "s", content: "back" })).success, true);
      assert.equal((await bob.next("content"))[0].content, "back");
      assert.deepEqual(bob.seen("client-left"), []);
      assert.deepEqual(bob.seen("client-joined"), []);
    }));

  test("whoever disconnects is gone at once", () =>
    withClients(caddy, async (join) => {
      const client = await join("websocket", back);
      const { id } = client;
      client.socket.disconnect();
      await client.next("(disconnect)");
      client.socket.connect();
      await client.next("(connect)");
      assert.equal(client.socket.recovered, false);
      assert.notEqual(client.id, id);
    }));
});

describe("with recovery that outlives Caddy", () => {
  const patient = { ...back, reconnectionAttempts: Infinity, timeout: 2000 };
  const stored = `recovery {
			store storage
		}`;

  /** The files of snapshots in the storage. */
  async function snapshots(caddy) {
    const folder = path.join(caddy.dir, "data/caddy/socketio_stream/recovery");
    const names = await fs.readdir(folder, { recursive: true }).catch(() => []);
    return names.filter((name) => name.endsWith(".snapshot")).map((name) => path.join(folder, name));
  }

  /** Resolves when a snapshot is stored that has a text. */
  async function snapshotWith(caddy, text) {
    const deadline = Date.now() + limit;
    for (;;) {
      const [file] = await snapshots(caddy);
      if (file !== undefined && (await fs.readFile(file)).includes(text)) {
        return;
      }
      assert.ok(Date.now() < deadline, `no snapshot has ${text}`);
      await sleep(20);
    }
  }

  async function withCaddy(body) {
    const caddy = await startCaddy({ caddyfile: site(stored) });
    try {
      await withClients(caddy, (join) => body(caddy, join));
    } finally {
      await caddy.stop();
    }
  }

  test("clients go on after a restart, and after the next one: what is sent meanwhile comes once and in order", () =>
    withCaddy(async (caddy, join) => {
      const clients = [await join("websocket", patient), await join("polling", patient), await join("upgrade", patient)];
      const got = clients.map(() => []);
      const recovered = clients.map(() => []);
      clients.forEach((client, i) => {
        client.socket.on("chat", (n) => got[i].push(n));
        client.socket.on("connect", () => recovered[i].push(client.socket.recovered));
      });
      const ids = clients.map((client) => client.id);
      const sender = await join("websocket", { reconnection: false });
      let sent = 0;
      for (let round = 0; round < 2; round++) {
        // One client is away when Caddy ends, and has missed something by then.
        const [away] = clients;
        const from = round === 0 ? sender : await join("websocket", { reconnection: false });
        from.emit("chat", sent++);
        await Promise.all(clients.map((client) => client.next("chat", (n) => n === sent - 1)));
        away.socket.io.reconnection(false);
        cut(away);
        await away.next("(disconnect)");
        from.emit("chat", sent++);
        await Promise.all(clients.slice(1).map((client) => client.next("chat", (n) => n === sent - 1)));
        await caddy.restart();
        away.socket.io.reconnection(true);
        away.socket.connect();
        await Promise.all(clients.map((client) => client.next("(connect)")));
        const after = await join("websocket", { reconnection: false });
        after.emit("chat", sent++);
        await Promise.all(clients.map((client) => client.next("chat", (n) => n === sent - 1)));
      }
      clients.forEach((client, i) => {
        assert.deepEqual(got[i], [...Array(sent).keys()]);
        assert.equal(client.id, ids[i]);
        assert.deepEqual(recovered[i], [true, true]);
      });
      assert.match(caddy.log(), /"msg":"sockets restored"/);
    }));

  test("clients go on after a crash, from what was stored before it", () =>
    withCaddy(async (caddy, join) => {
      const client = await join("websocket", patient);
      const got = [];
      client.socket.on("chat", (text) => got.push(text));
      const { id } = client;
      const other = await join("websocket", { reconnection: false });
      for (const text of ["first", "second"]) {
        other.emit("chat", text);
        await client.next("chat", (came) => came === text);
        await snapshotWith(caddy, `"${text}"`);
      }
      await caddy.crash();
      await client.next("(connect)");
      assert.equal(client.socket.recovered, true);
      assert.equal(client.id, id);
      const again = await join("websocket");
      again.emit("chat", "third");
      await client.next("chat", (came) => came === "third");
      assert.deepEqual(got, ["first", "second", "third"]);
      assert.match(caddy.log(), /"msg":"sockets restored after a crash"/);
    }));

  test("a damaged snapshot is told, and clients begin anew", () =>
    withCaddy(async (caddy, join) => {
      const client = await join("websocket", patient);
      const { id } = client;
      await caddy.restart(async () => {
        const [file, ...others] = await snapshots(caddy);
        assert.deepEqual(others, []);
        const bytes = await fs.readFile(file);
        bytes[bytes.length >> 1] ^= 1;
        await fs.writeFile(file, bytes);
      });
      await client.next("(connect)");
      assert.equal(client.socket.recovered, false);
      assert.notEqual(client.id, id);
      assert.match(caddy.log(), /"msg":"snapshot not used".*"error":"it is damaged"/);
      assert.equal(await caddy.metric("caddy_socketio_recovery_snapshots_total", { result: "refused" }), 1);
    }));

  test("members of sessions and streams begin anew", () =>
    withCaddy(async (caddy, join) => {
      const clients = [];
      for (const namespace of ["/live", "/sessions"]) {
        clients.push(await join("websocket", { namespace, ...patient }));
      }
      await caddy.restart();
      for (const client of clients) {
        await client.next("(connect)");
        assert.equal(client.socket.recovered, false);
      }
    }));
});

test("without recovery nobody is recovered, and nothing is appended", async () => {
  const caddy = await startCaddy({ caddyfile: site("") });
  try {
    await withClients(caddy, async (join) => {
      const client = await join("websocket", back);
      const other = await join("websocket");
      other.emit("chat", "alone");
      assert.deepEqual(await client.next("chat"), ["alone"]);
      const { id } = client;
      cut(client);
      await client.next("(disconnect)");
      await client.next("(connect)");
      assert.ok(!client.socket.recovered);
      assert.notEqual(client.id, id);
    });
  } finally {
    await caddy.stop();
  }
});
