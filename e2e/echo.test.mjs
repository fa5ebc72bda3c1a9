// Acks, refusals, rooms and handlers that fail, with the `echo` events that
// are compiled into the test build.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { e2eBin, startCaddy } from "./lib/caddy.mjs";
import { happens, limit, modes, open, withClients } from "./lib/client.mjs";

const namespace = "/echo";

let caddy;

before(async () => {
  caddy = await startCaddy({
    bin: e2eBin,
    caddyfile: `localhost {
	socketio_stream {
		max_http_buffer_size 4MB
		namespace / {
			events echo
		}
		namespace ${namespace} {
			events echo
		}
	}
}`,
  });
});

after(() => caddy?.stop());

// Lists of arguments that go there and come back.
const lists = {
  "none": [],
  "one text": ["grüße 世界 🎥"],
  "several": [1, -2.5, true, null, "x", ["y", [0]], { z: { "": 1 } }],
  "binary": [Buffer.from([0, 30, 255])],
  "binary between text": ["a", Buffer.from("b"), { c: [Buffer.from("d"), { e: Buffer.alloc(0) }] }, "f"],
  "something that looks like a placeholder": [{ _placeholder: "no", num: 0 }, "b4AA=="],
};

const large = {
  "1 MB of text": "0123456789".repeat(100_000),
  "1 MB of binary": randomBytes(1_000_000),
  "1 MB of binary in an object": { kind: "large", parts: [randomBytes(600_000), randomBytes(400_000)] },
};

for (const mode of Object.keys(modes)) {
  describe(`by ${mode}`, () => {
    test("a wrong token is refused with its reason", async () => {
      const client = open(caddy, mode, { namespace, auth: { token: "wrong" } });
      try {
        const [err] = await client.next("(connect_error)");
        assert.equal(err.message, "not authorized");
        assert.equal(err.data.code, "unauthorized");
        assert.equal(client.socket.connected, false);
        assert.equal(client.id, undefined);
        assert.deepEqual(client.seen("(connect)"), []);
      } finally {
        client.close();
      }
    });

    test("an unknown namespace is refused and the connection lives", () =>
      withClients(caddy, async (join) => {
        const client = await join(mode, { namespace });
        const stray = client.socket.io.socket("/unknown");
        const refusal = happens(stray, "connect_error");
        stray.connect();
        assert.equal((await refusal).message, "Invalid namespace");
        assert.deepEqual(await client.acks("echo", "still here"), ["still here"]);
      }));

    for (const [name, args] of Object.entries(lists)) {
      test(`${name} comes back as event and as ack`, () =>
        withClients(caddy, async (join) => {
          const client = await join(mode, { namespace });
          client.emit("echo", ...args);
          assert.deepEqual(await client.next("echo"), args);
          assert.deepEqual(await client.acks("echo", ...args), args);
        }));

      test(`the server asks with ${name} and gets the answer`, () =>
        withClients(caddy, async (join) => {
          const client = await join(mode, { namespace });
          client.socket.on("question", (...asked) => {
            const answer = asked.pop();
            assert.deepEqual(asked, args);
            answer(...asked.reverse());
          });
          assert.deepEqual(await client.acks("call", "question", ...args), [...args].reverse());
        }));
    }

    for (const [name, payload] of Object.entries(large)) {
      test(`${name} comes back as event and as ack`, () =>
        withClients(caddy, async (join) => {
          const client = await join(mode, { namespace });
          client.emit("echo", payload);
          const [event] = await client.next("echo");
          assert.ok(equal(event, payload), "the event holds what was sent");
          const [ack] = await client.acks("echo", payload);
          assert.ok(equal(ack, payload), "the ack holds what was sent");
        }));

      test(`the server asks with ${name} and gets it back`, () =>
        withClients(caddy, async (join) => {
          const client = await join(mode, { namespace });
          client.socket.on("question", (asked, answer) => answer(asked));
          const [reply] = await client.acks("call", "question", payload);
          assert.ok(equal(reply, payload), "the reply holds what was sent");
        }));
    }

    test("a hundred acks at a time find their callers", () =>
      withClients(caddy, async (join) => {
        const client = await join(mode, { namespace });
        const numbers = Array.from({ length: 100 }, (_, n) => n);
        const replies = await Promise.all(
          numbers.map((n) => client.acks("echo", n, Buffer.from([n]))),
        );
        assert.deepEqual(replies, numbers.map((n) => [n, Buffer.from([n])]));
      }));

    test("the server can end a namespace and leave the connection", () =>
      withClients(caddy, async (join) => {
        const client = await join(mode, { namespace });
        const second = await beside(client);
        client.emit("kick", false);
        assert.deepEqual(await client.next("(disconnect)"), ["io server disconnect"]);
        assert.deepEqual(await second.timeout(limit).emitWithAck("echo", "still here"), "still here");
        client.socket.connect();
        await client.connected();
        assert.deepEqual(await client.acks("echo", "back"), ["back"]);
        assert.ok(second.connected);
      }));

    test("the server can end the whole connection", () =>
      withClients(caddy, async (join) => {
        const client = await join(mode, { namespace });
        const second = await beside(client);
        const ended = happens(second, "disconnect");
        const closed = happens(client.socket.io.engine, "close");
        client.emit("kick", true);
        // Each namespace hears it before the transport closes.
        assert.deepEqual(await client.next("(disconnect)"), ["io server disconnect"]);
        assert.equal(await ended, "io server disconnect");
        await closed;
        assert.deepEqual(await (await join(mode, { namespace })).acks("echo"), []);
      }));

    test("a handler that panics costs its caller an error and nobody a connection", () =>
      withClients(caddy, async (join) => {
        const client = await join(mode, { namespace });
        const bystander = await join(mode, { namespace });
        client.emit("panic");
        const [error] = await client.next("error");
        assert.equal(typeof error.message, "string");
        assert.equal(typeof error.code, "string");
        assert.notEqual(error.code, "");
        for (const each of [client, bystander]) {
          assert.deepEqual(await each.acks("echo", "alive"), ["alive"]);
          assert.deepEqual(each.disconnects, []);
        }
        assert.deepEqual(bystander.seen("error"), []);
      }));

    test("a room is heard by those in it, except the sender", () =>
      withClients(caddy, async (join) => {
        const room = `room-${mode}`;
        const sender = await join(mode, { namespace });
        const member = await join(mode, { namespace });
        const left = await join(mode, { namespace });
        const stranger = await join(mode, { namespace });
        for (const client of [sender, member, left]) {
          assert.deepEqual(await client.ack("join", room), { success: true });
        }
        assert.deepEqual(await left.ack("leave", room), { success: true });

        sender.emit("room", room, "text", { chunk: Buffer.from("b") });
        assert.deepEqual(await member.next("room"), ["text", { chunk: Buffer.from("b") }]);
        // What was sent before the answer would have come before it.
        for (const client of [sender, left, stranger]) {
          await client.acks("echo");
          assert.deepEqual(client.seen("room"), []);
        }
      }));
  });
}

// beside connects a second namespace on the connection of a client.
async function beside(client) {
  const second = client.socket.io.socket("/");
  const connected = happens(second, "connect");
  second.connect();
  await connected;
  return second;
}

// equal compares as deepEqual does, without its cost of printing a difference.
function equal(actual, expected) {
  if (Buffer.isBuffer(expected)) {
    return Buffer.isBuffer(actual) && actual.equals(expected);
  }
  if (typeof expected === "object") {
    return Object.entries(expected).every(([key, value]) => equal(actual[key], value));
  }
  return actual === expected;
}
