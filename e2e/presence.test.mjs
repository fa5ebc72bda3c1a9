// Two Caddys on one Redis know of each other: the commands and the admin API of one are about both, until one is
// killed.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { e2eBin, startCaddy } from "./lib/caddy.mjs";
import { until } from "./lib/client.mjs";
import { startRedis } from "./lib/redis.mjs";

let redis, one, two;
const opened = [];

const site = () => `localhost {
	socketio_stream {
		hub shared
		adapter redis {
			url ${redis.url}
		}
		namespace / {
			events relay chat
		}
	}
}`;

/** Runs a command on a server, and returns what it has written and how it ended. */
const run = (caddy, ...args) => new Promise((resolve) => {
  execFile(e2eBin, ["socketio", ...args, "--address", caddy.adminURL.replace("http://", "")], (error, out, errOut) => {
    resolve({ code: error ? error.code : 0, out, errOut });
  });
});

async function client(caddy) {
  const socket = io(caddy.url, { ca: caddy.ca, transports: ["websocket"], forceNew: true, reconnection: false });
  opened.push(socket);
  socket.got = [];
  socket.onAny((...event) => socket.got.push(event));
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  return socket;
}

const nodes = async (caddy) => JSON.parse((await run(caddy, "ls", "nodes", "--json")).out).nodes;

before(async () => {
  redis = await startRedis();
  [one, two] = await Promise.all([startCaddy({ bin: e2eBin, caddyfile: site() }), startCaddy({ bin: e2eBin, caddyfile: site() })]);
  for (const caddy of [one, two]) await until("the servers to know of each other", async () => (await nodes(caddy)).length === 2);
});

after(async () => {
  for (const socket of opened) socket.close();
  await one?.stop();
  await two?.discard();
  await redis?.stop();
});

test("the commands are about all servers, or about one", async () => {
  const [self, other] = await nodes(one);
  assert.ok(self.self && !other.self && other.hub.name === "shared");
  const here = await client(one);
  const there = await client(two);

  const { sockets } = JSON.parse((await run(one, "ls", "sockets", "--json")).out);
  assert.deepEqual(
    sockets.map(({ id, node }) => [id, node]).sort(),
    [[here.id, self.node], [there.id, other.node]].sort(),
  );
  assert.equal(JSON.parse((await run(one, "ls", "sockets", "--json", "--node", other.node)).out).sockets[0].id, there.id);
  assert.match((await run(one, "top", "--once")).out, new RegExp(`shared +${other.node} +1 +1 `));

  assert.match((await run(one, "emit", "all")).out, /Sent all to 2 sockets/);
  assert.match((await run(one, "emit", "there", "--node", other.node)).out, /Sent there to 1 socket\./);
  await until("the events", () => there.got.length === 2);
  assert.deepEqual([here.got, there.got], [[["all"]], [["all"], ["there"]]]);

  const gone = new Promise((resolve) => there.once("disconnect", resolve));
  const { id } = there;
  assert.match((await run(one, "kick", id)).out, new RegExp(`Disconnected ${id} from /`));
  assert.equal(await gone, "io server disconnect");
  const unknown = await run(one, "ls", "--node", "nobody");
  assert.equal(unknown.code, 1);
  assert.match(unknown.errOut, /has no node "nobody"/);
});

test("a server that is killed is forgotten, and not waited for any longer", async () => {
  const [, other] = await nodes(one);
  two.signal("SIGKILL");
  await until("it to be forgotten", async () => (await nodes(one)).length === 1);
  const { out, errOut } = await run(one, "ls", "sockets", "--json");
  assert.equal(errOut, "", "who is waited for in vain is named");
  assert.ok(JSON.parse(out).sockets.every(({ node }) => node !== other.node));
});
