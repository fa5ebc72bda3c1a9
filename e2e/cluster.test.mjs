// Two Caddys, a Node server and an emitter on one Redis, in each mode of the adapter: whatever one of them
// does with sockets reaches those of all of them.

import assert from "node:assert/strict";
import { createServer, get } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { e2eBin, startCaddy } from "./lib/caddy.mjs";
import { limit, until } from "./lib/client.mjs";
import { startRedis } from "./lib/redis.mjs";

// What a Node server of each mode has. The emitter that there is speaks pubsub alone.
const modes = {
  pubsub: async () => createAdapter(await redisClient(), await redisClient()),
  sharded: async () => createShardedAdapter(await redisClient(), await redisClient()),
  streams: async () => createStreamsAdapter(await redisClient()),
};

let mode, redis, one, two, node, emitter;
let clients = {};
let opened = [];

const site = (more = "") => `localhost {
	socketio_stream {
		adapter redis {
			url ${redis.url}
			mode ${mode}
			${more}
		}
		namespace / {
			events cluster
		}
	}
}`;

/** A client of one server: what it has got, and how it answers. */
class Client {
  constructor(url, ca) {
    this.got = [];
    this.socket = io(url, { ca, transports: ["websocket"], forceNew: true, reconnection: false });
    this.socket.onAny((event, ...args) => {
      const reply = typeof args.at(-1) === "function" ? args.pop() : undefined;
      this.got.push([event, ...args]);
      reply?.(Buffer.isBuffer(args[0]) ? Buffer.from(`${this.name}!`) : `${this.name} has ${args[0]}`);
    });
    this.connected = new Promise((resolve, reject) => {
      this.socket.once("connect", resolve);
      this.socket.once("connect_error", reject);
    });
  }

  get id() {
    return this.socket.id;
  }

  /** Takes what has come up to an event of that name, which is not among it. */
  async upTo(event) {
    await until(`${event} at ${this.name}`, () => this.got.some(([name]) => name === event));
    return this.got.splice(0, this.got.findIndex(([name]) => name === event) + 1).slice(0, -1);
  }
}

async function client(name, url, ca) {
  const made = new Client(url, ca);
  made.name = name;
  opened.push(made);
  await made.connected;
  return made;
}

async function redisClient() {
  const made = createClient({ url: redis.url, socket: { reconnectStrategy: 50 } });
  made.on("error", () => {}); // one test takes Redis away
  await made.connect();
  opened.push({ socket: { close: () => made.disconnect().catch(() => {}) } });
  return made;
}

/** Does an operation on a Caddy, by a client that asks for it. */
const caddyDoes = (name) => async (operation, ...args) => {
  const answer = await clients[name].socket.timeout(limit).emitWithAck("do", operation, ...args);
  assert.notEqual(answer?.success, false, JSON.stringify(answer));
  return answer;
};

/** Does an operation on the Node server. */
async function nodeDoes({ name, event, rooms = [], except = [], into, volatile, close }, ...args) {
  let to = node.to(rooms).except(except);
  if (volatile) to = to.volatile;
  switch (name) {
    case "emit": return to.emit(event, ...args);
    case "call": return to.timeout(limit).emitWithAck(event, ...args);
    case "fetch": return (await to.fetchSockets()).map(({ id, rooms: joined, handshake }) => ({
      id, rooms: [...joined].filter((room) => room !== id).sort(), address: handshake.address.replace("::ffff:", ""),
    }));
    case "join": return to.socketsJoin(into);
    case "leave": return to.socketsLeave(into);
    case "disconnect": return to.disconnectSockets(close);
    case "tell": return node.serverSideEmit(event, ...args);
  }
}

/** Does an operation by the emitter, which has no answers. */
function emitterDoes({ name, event, rooms = [], except = [], into, volatile, close }, ...args) {
  let to = emitter.in(rooms).except(except);
  if (volatile) to = to.volatile;
  switch (name) {
    case "emit": return to.emit(event, ...args);
    case "join": return to.socketsJoin(into);
    case "leave": return to.socketsLeave(into);
    case "disconnect": return to.disconnectSockets(close);
    case "tell": return emitter.serverSideEmit(event, ...args);
  }
}

const servers = { one: caddyDoes("one"), two: caddyDoes("two"), node: nodeDoes };
/** Who there is in a mode. */
const everybodyIn = (name) => (name === "pubsub" ? { ...servers, emitter: emitterDoes } : servers);
let everybody = servers;
const names = Object.keys(servers);

/** What the check of a Caddy says. */
const ready = (caddy) => new Promise((resolve, reject) => {
  get(`${caddy.adminURL}/socketio/ready`, { agent: false }, (answer) => {
    let text = "";
    answer.on("data", (part) => { text += part; });
    answer.on("end", () => resolve({ code: answer.statusCode, ...JSON.parse(text) }));
  }).on("error", reject);
});

for (const name of Object.keys(modes)) describe(`mode ${name}`, () => {
  before(async () => {
    mode = name;
    everybody = everybodyIn(name);
    clients = {};
    opened = [];
    redis = await startRedis();
    const http = createServer();
    node = new Server(http, { adapter: await modes[mode]() });
    node.told = [];
    node.on("figures", (...args) => node.told.push(args));
    node.on("question", (...args) => args.pop()("the answer of Node"));
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
    node.url = `http://127.0.0.1:${http.address().port}`;
    if (mode === "pubsub") emitter = new Emitter(await redisClient());
    [one, two] = await Promise.all([startCaddy({ bin: e2eBin, caddyfile: site() }), startCaddy({ bin: e2eBin, caddyfile: site() })]);
    for (const caddy of [one, two]) await until("the server to be ready", async () => (await ready(caddy)).code === 200);
    clients.one = await client("one", one.url, one.ca);
    clients.two = await client("two", two.url, two.ca);
    clients.node = await client("node", node.url);
  });

  after(async () => {
    for (const { socket } of opened) socket.close();
    await node?.close();
    await Promise.all([one?.stop(), two?.stop()]);
    await redis?.stop();
  });

  /** Checks that exactly these clients have got events, each once, by what everybody gets after them. */
  async function expect(by, receivers, events) {
    const end = `end of ${Math.random()}`;
    await everybody[by]({ name: "emit", event: end });
    for (const name of names) {
      assert.deepEqual(await clients[name].upTo(end), receivers.includes(name) ? events : [], `${by} to ${name}`);
    }
  }

  for (const by of Object.keys(everybodyIn(name))) {
    describe(`what ${by} does`, () => {
      test("events reach whom they are for, text and binary", async () => {
        const lists = [
          ["text", ["grüße 世界", 1, -2.5, 70_000, 5_000_000_000, true, null, { deep: [[], {}] }]],
          ["binary", [Buffer.from([0, 255]), { deep: [Buffer.from("x"), "y"] }]],
          ["nothing", []],
          ["large", ["x".repeat(500_000), Buffer.alloc(300_000, 7)]],
        ];
        for (const [event, args] of lists) {
          await everybody[by]({ name: "emit", event }, ...args);
          await expect(by, names, [[event, ...args]]);
        }
      });

      test("rooms, exceptions and volatile", async () => {
        for (const room of names) {
          const rooms = [clients[room].id];
          await everybody[by]({ name: "emit", event: "to one", rooms }, room);
          await expect(by, [room], [["to one", room]]);
          await everybody[by]({ name: "emit", event: "but one", except: rooms, volatile: true }, room);
          await expect(by, names.filter((name) => name !== room), [["but one", room]]);
        }
        const rooms = [clients.two.id, clients.node.id, clients.two.id];
        await everybody[by]({ name: "emit", event: "to two", rooms });
        await expect(by, ["two", "node"], [["to two"]]);
        await everybody[by]({ name: "emit", event: "to nobody", rooms: ["nobody"] });
        await expect(by, [], []);
      });

      test("sockets join and leave rooms", async () => {
        const except = [clients.node.id];
        await everybody[by]({ name: "join", except, into: ["red", "blue"] });
        await everybody[by]({ name: "leave", rooms: [clients.one.id], into: ["blue"] });
        await expect(by, [], []);
        await everybody[by]({ name: "emit", event: "red", rooms: ["red"] });
        await everybody[by]({ name: "emit", event: "blue", rooms: ["blue"] });
        const end = "end of rooms";
        await everybody[by]({ name: "emit", event: end });
        assert.deepEqual(await clients.one.upTo(end), [["red"]]);
        assert.deepEqual(await clients.two.upTo(end), [["red"], ["blue"]]);
        assert.deepEqual(await clients.node.upTo(end), []);
        await everybody[by]({ name: "leave", into: ["red", "blue"] });
        await everybody[by]({ name: "emit", event: "red", rooms: ["red", "blue"] });
        await expect(by, [], []);
      });

      test("event sets and servers are told", async () => {
        await everybody[by]({ name: "tell", event: "figures" }, by, { n: 1 });
        for (const name of ["one", "two"].filter((other) => other !== by)) {
          await until("it to be told", () => clients[name].got.length > 0);
          assert.deepEqual(clients[name].got.splice(0), [["told", by, { n: 1 }]]);
        }
        if (by !== "node") {
          await until("Node to be told", () => node.told.length > 0);
          assert.deepEqual(node.told.splice(0), [[by, { n: 1 }]]);
        }
        await expect(by, [], []);
      });

      test("sockets are disconnected", async () => {
        const victims = [await client("first", one.url, one.ca), await client("second", two.url, two.ca), await client("third", node.url)];
        const gone = victims.map(({ socket }) => new Promise((resolve) => socket.once("disconnect", resolve)));
        await everybody[by]({ name: "disconnect", rooms: victims.map(({ id }) => id), close: false });
        assert.deepEqual(await Promise.all(gone), Array(3).fill("io server disconnect"));
        await expect(by, [], []);
      });
    });
  }

  for (const by of names) {
    describe(`what ${by} asks`, () => {
      test("all clients answer, text and binary", async () => {
        const text = await servers[by]({ name: "call", event: "question" }, "it");
        const binary = await servers[by]({ name: "call", event: "question" }, Buffer.from("it"));
        for (const name of names) {
          assert.equal(clients[name].got.splice(0).filter(([event]) => event === "question").length, 2);
        }
        const told = names.map((name) => `${name} has it`).sort();
        const data = names.map((name) => `${name}!`).sort();
        if (by === "node") {
          assert.deepEqual([...text].sort(), told);
          assert.deepEqual(binary.map(String).sort(), data);
          return;
        }
        assert.deepEqual(text.map(({ args }) => JSON.parse(args)[0]).sort(), told);
        assert.deepEqual(binary.map(({ binary: [first] }) => String(first)).sort(), data);
        const other = by === "one" ? "two" : "one";
        assert.ok(text.some(({ id, args }) => id === clients[other].id && JSON.parse(args)[0] === `${other} has it`));
      });

      test("only those answer who are asked", async () => {
        for (const name of names) {
          const answers = await servers[by]({ name: "call", event: "question", rooms: [clients[name].id] }, "it");
          const got = by === "node" ? answers : answers.map(({ args }) => JSON.parse(args)[0]);
          assert.deepEqual(got, [`${name} has it`]);
          clients[name].got.splice(0);
        }
      });

      test("the sockets of all are found", async () => {
        await servers[by]({ name: "join", rooms: [clients.one.id, clients.node.id], into: ["found"] });
        await expect(by, [], []);
        const sockets = await servers[by]({ name: "fetch" });
        const want = names.map((name) => ({ id: clients[name].id, rooms: name === "two" ? [] : ["found"], address: "127.0.0.1" }));
        const byID = (a, b) => (a.id < b.id ? -1 : 1);
        assert.deepEqual(sockets.sort(byID), want.sort(byID));
        const some = await servers[by]({ name: "fetch", rooms: ["found"], except: [clients.one.id] });
        assert.deepEqual(some.map(({ id }) => id), [clients.node.id]);
        await servers[by]({ name: "leave", into: ["found"] });
        await expect(by, [], []);
      });
    });
  }

  test("Node counts its servers, finds rooms, and is answered what it asks of servers", async () => {
    const adapter = node.of("/").adapter;
    assert.equal(await adapter.serverCount(), 3);
    if (mode === "pubsub") {
      const rooms = await adapter.allRooms(); // the other adapters do not ask others
      for (const name of names) assert.ok(rooms.has(clients[name].id), name);
    }
    const answers = await node.serverSideEmitWithAck("question");
    assert.equal(answers.length, 2);
  });

  test("a socket of Caddy is a remote socket of Node", async () => {
    const remote = (await node.fetchSockets()).find(({ id }) => id === clients.one.id);
    remote.join("remote");
    remote.emit("direct", 1);
    await until("the event", () => clients.one.got.length > 0); // calls are in no order with broadcasts
    assert.equal(await remote.timeout(limit).emitWithAck("question", "it"), "one has it");
    await expect("node", ["one"], [["direct", 1], ["question", "it"]]);
    remote.leave("remote");
  });

  test("a reload that changes nothing keeps the subscription, and one that changes it misses nothing", async () => {
    const sender = mode === "pubsub" ? (...args) => emitter.emit(...args) : (...args) => node.emit(...args);
    const by = mode === "pubsub" ? "emitter" : "node";
    const lines = () => one.log().match(/"connected to Redis"/g).length;
    const before = lines();
    let n = 0;
    let over = false;
    const sending = (async () => {
      for (; !over; n++) {
        await sender("count", n);
        await pause(2);
      }
    })();
    await one.reload(site());
    await pause(200);
    assert.equal(lines(), before);
    await one.reload(site("request_timeout 7s"));
    await until("the new connection", () => lines() === before + 1);
    await until("the server to be ready", async () => (await ready(one)).code === 200);
    await pause(500);
    over = true;
    await sending;
    await expect(by, names, Array.from({ length: n }, (_, i) => ["count", i]));
  });

  test("Redis is killed, and comes back", async () => {
    await redis.kill();
    for (const caddy of [one, two]) {
      const said = await until("the outage to be noticed", async () => {
        const answer = await ready(caddy);
        return answer.code === 503 && answer;
      });
      assert.equal(said.status, "cut off");
      assert.match(said.reason, /redis at 127\.0\.0\.1:\d+: it cannot be reached/);
      assert.equal(await caddy.metric("caddy_socketio_cluster_up"), 0);
    }
    await servers.one({ name: "emit", event: "during" });
    await until("local delivery", () => clients.one.got.length > 0);
    assert.deepEqual(clients.one.got.splice(0), [["during"]]);
    await until("it to be counted", async () => (await one.metric("caddy_socketio_cluster_lost_total")) > 0);

    await redis.start();
    for (const caddy of [one, two]) await until("the server to be ready", async () => (await ready(caddy)).code === 200);
    await until("Node to be back", async () => (await node.of("/").adapter.serverCount().catch(() => 0)) === 3);
    for (const by of Object.keys(everybody)) {
      await everybody[by]({ name: "emit", event: "after" }, by);
      await expect(by, names, [["after", by]]);
    }
    assert.equal(one.log().match(/"no connection to Redis;[^"]*"/g).length, 1);
  });
});
