// The streaming service as its clients see it, on every transport.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startCaddy } from "./lib/caddy.mjs";
import { modes, withClients } from "./lib/client.mjs";

let caddy;

before(async () => {
  caddy = await startCaddy({
    caddyfile: `localhost {
	socketio_stream {
		max_http_buffer_size 4MB
	}
}`,
  });
});

after(() => caddy?.stop());

// What services send through a stream. A receiver in Node gets every kind of
// binary as a Buffer.
const payloads = {
  "text": "grüße, 世界, 🎥 and a line\nbreak",
  "an object": { streamId: "not-started", n: 1.5, list: [true, null, "x"], deep: { a: {} } },
  "an array": [1, "two", [3]],
  "a number": 42,
  "null": null,
  "binary": Buffer.from([0, 1, 2, 0x1e, 0x80, 0xff]),
  "empty binary": Buffer.alloc(0),
  "nested binary": { a: [{ b: Buffer.from("first") }], c: Buffer.from([0, 255]) },
  "900 KB of binary": randomBytes(900_000),
  "1.2 MB of binary in an object": { kind: "chunk", chunk: randomBytes(1_200_000) },
  "1 MB of text": "é".repeat(500_000),
};

for (const mode of Object.keys(modes)) {
  describe(`by ${mode}`, () => {
    // Everyone hears of the end of a stream, so the clients of the next test come after it.
    afterEach(async () => {
      for (const deadline = Date.now() + 20_000; ; await pause(10)) {
        const left = await caddy.metric("caddy_socketio_streams{");
        if (left === 0) {
          return;
        }
        assert.ok(Date.now() < deadline, `${left} streams were left behind`);
      }
    });

    test("a stream starts and stops", () =>
      withClients(caddy, async (join) => {
        const owner = await join(mode);
        owner.emit("stream:start", { streamId: `s-${mode}`, title: "any other field" });
        assert.deepEqual(await owner.next("stream:started"), [
          { status: "ok", streamId: `s-${mode}` },
        ]);
        owner.emit("stream:stop", { streamId: `s-${mode}` });
        assert.deepEqual(await owner.next("stream:stopped"), [
          { status: "ok", streamId: `s-${mode}` },
        ]);
        assert.deepEqual(owner.seen("error"), []);
      }));

    for (const event of ["stream:data", "message"]) {
      for (const [name, payload] of Object.entries(payloads)) {
        test(`${event} carries ${name} to everyone else`, () =>
          withClients(caddy, async (join) => {
            const sender = await join(mode);
            const others = await Promise.all(Object.keys(modes).map((m) => join(m)));
            sender.emit(event, payload);
            for (const other of others) {
              const args = await other.next(event);
              assert.equal(args.length, 1);
              same(args[0], payload);
            }
            // Order is kept, so what comes back after the sentinel would have
            // come before it if the sender were among the receivers.
            others[0].emit("message", "sentinel");
            await sender.next("message", (text) => text === "sentinel");
            assert.deepEqual(sender.seen(event), []);
          }));
      }
    }

    test("a Uint8Array arrives as the bytes it holds", () =>
      withClients(caddy, async (join) => {
        const sender = await join(mode);
        const other = await join(mode);
        const bytes = new Uint8Array([9, 8, 7, 6]).subarray(1, 3);
        sender.emit("stream:data", { a: [{ b: Buffer.from("x") }], c: bytes });
        const [data] = await other.next("stream:data");
        assert.deepEqual(data, { a: [{ b: Buffer.from("x") }], c: Buffer.from([8, 7]) });
      }));

    test("the owner's data goes to everyone else, in the order it was sent", () =>
      withClients(caddy, async (join) => {
        const owner = await join(mode);
        const other = await join(mode);
        const streamId = `order-${mode}`;
        owner.emit("stream:start", { streamId });
        for (let n = 0; n < 200; n++) {
          const chunk = n % 3 === 0 ? Buffer.from(`chunk ${n}`) : `chunk ${n}`;
          owner.emit("stream:data", { streamId, n, chunk });
        }
        for (let n = 0; n < 200; n++) {
          const [data] = await other.next("stream:data");
          assert.equal(data.n, n);
          assert.equal(data.chunk.toString(), `chunk ${n}`);
        }
        assert.deepEqual(owner.seen("stream:data"), []);
      }));

    test("a bad start is answered with an error and the connection lives", () =>
      withClients(caddy, async (join) => {
        const client = await join(mode);
        const { id } = client;
        for (const args of [[], ["text"], [7], [null], [{}], [{ streamId: 7 }], [{ streamId: "" }]]) {
          client.emit("stream:start", ...args);
          isError(await client.next("error"));
        }
        client.emit("stream:start", { streamId: `alive-${mode}` });
        await client.next("stream:started");
        assert.equal(client.id, id);
        assert.deepEqual(client.disconnects, []);
      }));

    test("a refusal answers the ack as well, if one was asked for", () =>
      withClients(caddy, async (join) => {
        const client = await join(mode);
        for (const [event, ...args] of [
          ["stream:start"],
          ["stream:start", { streamId: {} }],
          ["stream:stop"],
          ["stream:join"],
          ["stream:join", { streamId: 1 }],
        ]) {
          const reply = await client.ack(event, ...args);
          assert.equal(reply.success, false, event);
          assert.equal(typeof reply.error, "string", event);
          isError(await client.next("error"));
        }
      }));

    test("nobody but the owner sends a stream's data or stops it", () =>
      withClients(caddy, async (join) => {
        const streamId = `owned-${mode}`;
        const owner = await join(mode);
        const intruder = await join(mode);
        const viewer = await join(mode);
        owner.emit("stream:start", { streamId });
        await owner.next("stream:started");

        intruder.emit("stream:data", { streamId, chunk: Buffer.from("forged") });
        isError(await intruder.next("error"));
        intruder.emit("stream:stop", { streamId });
        isError(await intruder.next("error"));
        const reply = await intruder.ack("stream:start", { streamId });
        assert.equal(reply.success, false);
        isError(await intruder.next("error"));

        intruder.emit("message", "sentinel");
        for (const other of [owner, viewer]) {
          await other.next("message");
          assert.deepEqual(other.seen("stream:data"), []);
          assert.deepEqual(other.seen("stream:stopped"), []);
        }
        owner.emit("stream:data", { streamId, chunk: "genuine" });
        assert.deepEqual(await viewer.next("stream:data"), [{ streamId, chunk: "genuine" }]);
      }));

    test("when the owner goes its audience hears that the stream stopped", () =>
      withClients(caddy, async (join) => {
        const streamId = `gone-${mode}`;
        const owner = await join(mode);
        const viewer = await join(mode);
        owner.emit("stream:start", { streamId });
        await owner.next("stream:started");
        owner.close();
        const [stopped] = await viewer.next("stream:stopped");
        assert.equal(typeof stopped.reason, "string");
        assert.deepEqual(stopped, { status: "ok", streamId, reason: stopped.reason });

        // The name is free again.
        viewer.emit("stream:start", { streamId });
        assert.deepEqual(await viewer.next("stream:started"), [{ status: "ok", streamId }]);
        assert.deepEqual(viewer.seen("stream:stopped"), []);
      }));
  });
}

function same(actual, expected) {
  // Comparing a megabyte is quick, printing the difference is not.
  if (Buffer.isBuffer(expected) && expected.length > 1000) {
    assert.ok(Buffer.isBuffer(actual), "binary stays binary");
    assert.equal(actual.length, expected.length);
    assert.ok(actual.equals(expected), "the bytes are those that were sent");
  } else if (typeof expected === "string" && expected.length > 1000) {
    assert.equal(actual.length, expected.length);
    assert.ok(actual === expected, "the text is what was sent");
  } else if (Buffer.isBuffer(expected?.chunk)) {
    assert.equal(actual.kind, expected.kind);
    same(actual.chunk, expected.chunk);
  } else {
    assert.deepEqual(actual, expected);
  }
}

function isError(args) {
  assert.equal(args.length, 1);
  assert.equal(typeof args[0].message, "string");
  assert.notEqual(args[0].message, "");
  assert.equal(typeof args[0].code, "string");
  assert.notEqual(args[0].code, "");
}
