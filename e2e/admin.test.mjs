// The commands of `caddy socketio`, run as an operator runs them, against a
// Caddy with real clients.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { caddyBin, e2eBin, startCaddy } from "./lib/caddy.mjs";
import { happens, limit, modes, withClients, within } from "./lib/client.mjs";

const site = `localhost {
	socketio_stream {
		namespace / {
			events streaming
			events echo
		}
		namespace /chat {
			events relay chat
		}
	}
}`;

const chat = { namespace: "/chat" };

describe("caddy socketio", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({ bin: e2eBin, caddyfile: site });
  });

  after(() => caddy?.stop());

  for (const mode of Object.keys(modes)) {
    test(`ls shows a client by ${mode}, emit reaches it and kick ends it`, () =>
      withClients(caddy, async (join) => {
        const client = await join(mode);
        const bystander = await join(mode, chat);
        const id = client.id;
        await client.ack("join", "staff");

        const { sockets } = JSON.parse(await done(caddy, "ls", "sockets", "--room", "staff", "--json"));
        assert.deepEqual(sockets.map((socket) => socket.id), [id]);
        assert.equal(sockets[0].transport, mode === "polling" ? "polling" : "websocket");
        assert.equal(sockets[0].address, "127.0.0.1");
        assert.ok(!JSON.stringify(sockets).includes(client.socket.io.engine.id), "the session's id shows");
        assert.match(await done(caddy, "ls", "rooms"), /^localhost_\S+ {2}\/ {10}staff {8}1$/m);

        assert.equal(await done(caddy, "emit", "notice", '{"at":"noon","é":[1,null]}', "2", "--room", "staff"), "Sent notice to 1 socket.\n");
        assert.deepEqual(await client.next("notice"), [{ at: "noon", "é": [1, null] }, 2]);
        await done(caddy, "emit", "notice", "--text", "to all of \"chat\"", "--namespace", "chat");
        assert.deepEqual(await bystander.next("notice"), ['to all of "chat"']);

        assert.match(await done(caddy, "kick", id), new RegExp(`^Disconnected ${id} from /: 127.0.0.1 by `));
        assert.deepEqual(await client.next("(disconnect)"), ["io server disconnect"]);
        const again = await run(caddy, "kick", id);
        assert.equal(again.code, 1);
        assert.match(again.stderr, /no socket has the id/);
        assert.deepEqual(bystander.disconnects, []);
      }));
  }

  test("kick --close closes the connection with all its sockets", () =>
    withClients(caddy, async (join) => {
      const one = await join("websocket");
      // A namespace more on the same connection.
      const other = one.socket.io.socket("/chat");
      const connected = happens(other, "connect");
      other.connect();
      await connected;
      const ended = happens(other, "disconnect");
      const closed = happens(one.socket.io, "close");
      await done(caddy, "kick", "--close", one.id);
      assert.deepEqual(await one.next("(disconnect)"), ["io server disconnect"]);
      assert.equal(await ended, "io server disconnect");
      await closed;
    }));

  test("tail follows what clients send and get, through a reload", () =>
    withClients(caddy, async (join) => {
      const [sender, receiver] = await Promise.all([join("websocket", chat), join("polling", chat)]);
      const tail = follow(caddy, "--namespace", "/chat", "--payload");
      try {
        await tail.hears(async () => sender.emit("chat", { n: 1 }), /in {3}\/chat {5}chat .* 7 B {2}from /);
        await tail.line(/\[\{"n":1\}\]/);
        await tail.line(new RegExp(`out {2}/chat {5}chat .* to everyone but ${sender.id}`));
        sender.emit("chat", new Uint8Array([1, 2, 3]));
        await tail.line(/\[\{"_placeholder":true,"num":0\}\] 0=base64:AQID/);
        await caddy.reload(`${site}\n# changed`);
        await tail.hears(async () => receiver.emit("chat", "after"), /chat .* 7 B {2}from /);
        await tail.line(/\["after"\]/);
      } finally {
        assert.equal(await tail.stop(), 0);
      }
      assert.ok(!tail.text.includes("\x1b"), "escape sequences for what is no terminal");
    }));

  test("top shows what there is", async () => {
    const screen = await done(caddy, "top", "--once");
    assert.match(screen, /^HUB +CONNECTIONS +SOCKETS +WAITING +ROOMS +BUFFERED .* SLOW +DROPPED +REFUSED$/m);
    assert.match(screen, /^\/chat +[\w.-]+ /m);
    assert.ok(!screen.includes("\x1b"), "escape sequences for what is no terminal");
  });

  test("says by its status what went wrong", async () => {
    const missing = await run(caddy, "ls", "--hub", "nope");
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /there is no hub "nope"; there are "[\w.-]+"/);
    const nobody = await run({ adminPort: 1, env: caddy.env }, "ls");
    assert.equal(nobody.code, 4);
    assert.match(nobody.stderr, /no answer from Caddy's admin endpoint at localhost:1: .*\nIs Caddy running\?/);
    assert.equal((await run(caddy, "nope")).code, 1);
  });
});

function start(caddy, args) {
  const child = spawn(caddyBin, ["socketio", ...args], {
    env: { ...caddy.env, CADDY_ADMIN: `localhost:${caddy.adminPort}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code));
  });
  return { child, ended };
}

// run runs a command to its end.
async function run(caddy, ...args) {
  const { child, ended } = start(caddy, args);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const code = await within(ended, `the end of caddy socketio ${args.join(" ")}`);
  return { code, stdout, stderr };
}

// done runs a command that must succeed, and resolves to what it wrote.
async function done(caddy, ...args) {
  const { code, stdout, stderr } = await run(caddy, ...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

// follow runs tail. line(pattern) resolves to the next line like that;
// hears(action, pattern) repeats an action until it shows, since nothing else
// tells that the tail has begun.
function follow(caddy, ...args) {
  const { child, ended } = start(caddy, ["tail", ...args]);
  const tail = { text: "", errors: "" };
  let at = 0;
  child.stdout.setEncoding("utf8").on("data", (text) => (tail.text += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (tail.errors += text));
  const seen = (pattern) => {
    for (let end; (end = tail.text.indexOf("\n", at)) >= 0; ) {
      const line = tail.text.slice(at, end);
      at = end + 1;
      if (pattern.test(line)) {
        return true;
      }
    }
    return false;
  };
  const until = async (pattern, action) => {
    const deadline = Date.now() + limit;
    while (!seen(pattern)) {
      assert.ok(Date.now() < deadline, `no line like ${pattern} in\n${tail.text}${tail.errors}`);
      await action?.();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  tail.line = (pattern) => until(pattern);
  tail.hears = (action, pattern) => until(pattern, action);
  tail.stop = () => {
    child.kill("SIGINT");
    return within(ended, "the end of tail");
  };
  return tail;
}
