// Those who watch: joining, late joiners, waiting viewers, viewer counts, and
// the two kinds of audience.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { happens, modes, withClients } from "./lib/client.mjs";

let caddy;

before(async () => {
  caddy = await startCaddy({
    caddyfile: `localhost {
	socketio_stream {
		max_http_buffer_size 4MB
		namespace / {
			events streaming
		}
		namespace /subscribers {
			events streaming {
				audience subscribers
			}
		}
		namespace /first {
			events streaming {
				replay first
			}
		}
	}
}`,
  });
});

after(() => caddy?.stop());

for (const mode of Object.keys(modes)) {
  describe(`by ${mode}`, () => {
    test("joining a live stream tells its state and gives each chunk once", () =>
      withClients(caddy, async (join) => {
        const streamId = `join-${mode}`;
        const owner = await join(mode);
        const viewer = await join(mode);
        owner.emit("stream:start", { streamId });
        await owner.next("stream:started");
        assert.deepEqual(await viewer.ack("stream:join", { streamId }), {
          success: true,
          stream: { streamId, live: true, viewers: 1 },
        });
        owner.emit("stream:data", { streamId, n: 1 });
        owner.emit("stream:data", { streamId, n: 2 });
        owner.emit("message", "sentinel");
        await viewer.next("message");
        assert.deepEqual(viewer.seen("stream:data"), [[{ streamId, n: 1 }], [{ streamId, n: 2 }]]);
      }));

    test("a late joiner gets the header of stream:start first", () =>
      withClients(caddy, async (join) => {
        const streamId = `header-${mode}`;
        const header = randomBytes(70_000);
        const owner = await join(mode);
        const witness = await join(mode);
        owner.emit("stream:start", { streamId, header });
        owner.emit("stream:data", { streamId, n: 1 });
        // What the witness has is in the past of those who come now.
        await witness.next("stream:data");

        const late = await join(mode);
        await late.ack("stream:join", { streamId });
        owner.emit("stream:data", { streamId, n: 2 });
        const [first] = await late.next("stream:data");
        assert.deepEqual(Object.keys(first).sort(), ["chunk", "header", "streamId"]);
        assert.equal(first.streamId, streamId);
        assert.equal(first.header, true);
        assert.ok(header.equals(first.chunk));
        assert.deepEqual(await late.next("stream:data"), [{ streamId, n: 2 }]);
      }));

    test("a late joiner of a stream without a header gets nothing of the past", () =>
      withClients(caddy, async (join) => {
        const streamId = `plain-${mode}`;
        const owner = await join(mode);
        const witness = await join(mode);
        owner.emit("stream:start", { streamId });
        owner.emit("stream:data", { streamId, n: 1 });
        await witness.next("stream:data");
        const late = await join(mode);
        await late.ack("stream:join", { streamId });
        owner.emit("stream:data", { streamId, n: 2 });
        assert.deepEqual(await late.next("stream:data"), [{ streamId, n: 2 }]);
      }));

    test("with replay first a late joiner gets the first chunk as it was", () =>
      withClients(caddy, async (join) => {
        const namespace = "/first";
        const streamId = `first-${mode}`;
        const owner = await join(mode, { namespace });
        const witness = await join(mode, { namespace });
        const first = { streamId, n: 1, parts: [{ chunk: Buffer.from("head") }], mime: "video/webm" };
        owner.emit("stream:start", { streamId });
        owner.emit("stream:data", first);
        owner.emit("stream:data", { streamId, n: 2 });
        await witness.next("stream:data", (data) => data.n === 2);
        const late = await join(mode, { namespace });
        await late.ack("stream:join", { streamId });
        owner.emit("stream:data", { streamId, n: 3 });
        assert.deepEqual(await late.next("stream:data"), [first]);
        assert.deepEqual(await late.next("stream:data"), [{ streamId, n: 3 }]);
      }));

    test("a viewer can wait for a stream and hears when it starts", () =>
      withClients(caddy, async (join) => {
        const streamId = `wait-${mode}`;
        const viewer = await join(mode);
        assert.deepEqual(await viewer.ack("stream:join", { streamId }), {
          success: true,
          stream: { streamId, live: false, viewers: 1 },
        });
        const second = await join(mode);
        assert.deepEqual((await second.ack("stream:join", { streamId })).stream, {
          streamId,
          live: false,
          viewers: 2,
        });
        const owner = await join(mode);
        owner.emit("stream:start", { streamId });
        for (const client of [viewer, second, owner]) {
          assert.deepEqual(await client.next("stream:started"), [{ status: "ok", streamId }]);
        }
        owner.emit("stream:data", { streamId, chunk: Buffer.from("x") });
        for (const client of [viewer, second]) {
          assert.deepEqual(await client.next("stream:data"), [
            { streamId, chunk: Buffer.from("x") },
          ]);
        }
      }));

    test("those who waited get the header when the stream starts", () =>
      withClients(caddy, async (join) => {
        const streamId = `wait-header-${mode}`;
        const header = randomBytes(500);
        const viewer = await join(mode);
        await viewer.ack("stream:join", { streamId });
        const owner = await join(mode);
        owner.emit("stream:start", { streamId, header });
        owner.emit("stream:data", { streamId, n: 1 });
        await viewer.next("stream:started");
        assert.deepEqual(await viewer.next("stream:data"), [
          { streamId, header: true, chunk: header },
        ]);
        assert.deepEqual(await viewer.next("stream:data"), [{ streamId, n: 1 }]);
      }));

    test("owner and viewers hear how many are watching", () =>
      withClients(caddy, async (join) => {
        const streamId = `count-${mode}`;
        const owner = await join(mode);
        owner.emit("stream:start", { streamId });
        await owner.next("stream:started");
        const hears = (client, viewers) =>
          client.next("stream:viewers", (news) => news.streamId === streamId && news.viewers === viewers);

        const viewer = await join(mode);
        await viewer.ack("stream:join", { streamId });
        assert.deepEqual(await hears(owner, 1), [{ streamId, viewers: 1 }]);
        const leaves = await join(mode);
        assert.equal((await leaves.ack("stream:join", { streamId })).stream.viewers, 2);
        await Promise.all([hears(owner, 2), hears(viewer, 2)]);
        const goes = await join(mode);
        assert.equal((await goes.ack("stream:join", { streamId })).stream.viewers, 3);
        await Promise.all([hears(owner, 3), hears(viewer, 3), hears(leaves, 3)]);

        leaves.emit("stream:leave", { streamId });
        await Promise.all([hears(owner, 2), hears(viewer, 2), hears(goes, 2)]);
        goes.close();
        await Promise.all([hears(owner, 1), hears(viewer, 1)]);
      }));

    test("joining twice counts once", () =>
      withClients(caddy, async (join) => {
        const streamId = `twice-${mode}`;
        const owner = await join(mode);
        const viewer = await join(mode);
        owner.emit("stream:start", { streamId });
        await owner.next("stream:started");
        assert.equal((await viewer.ack("stream:join", { streamId })).stream.viewers, 1);
        assert.equal((await viewer.ack("stream:join", { streamId })).stream.viewers, 1);
        owner.emit("stream:data", { streamId, n: 1 });
        owner.emit("message", "sentinel");
        await viewer.next("message");
        assert.deepEqual(viewer.seen("stream:data"), [[{ streamId, n: 1 }]]);
      }));

    test("with audience subscribers data goes to those who joined alone", () =>
      withClients(caddy, async (join) => {
        const namespace = "/subscribers";
        const streamId = `sub-${mode}`;
        const owner = await join(mode, { namespace });
        const viewer = await join(mode, { namespace });
        const stranger = await join(mode, { namespace });
        owner.emit("stream:start", { streamId });
        await owner.next("stream:started");
        await viewer.ack("stream:join", { streamId });

        owner.emit("stream:data", { streamId, chunk: Buffer.from("for viewers") });
        assert.deepEqual(await viewer.next("stream:data"), [
          { streamId, chunk: Buffer.from("for viewers") },
        ]);
        assert.equal((await viewer.ack("stream:leave", { streamId })).success, true);
        owner.emit("stream:data", { streamId, n: 2 });
        owner.emit("message", "sentinel");
        for (const client of [viewer, stranger]) {
          assert.deepEqual(await client.next("message"), ["sentinel"]);
          assert.deepEqual(client.seen("stream:data"), []);
        }
        assert.deepEqual(owner.seen("stream:data"), []);
      }));

    test("with audience subscribers those who joined hear that the owner went", () =>
      withClients(caddy, async (join) => {
        const namespace = "/subscribers";
        const streamId = `end-${mode}`;
        const owner = await join(mode, { namespace });
        const viewer = await join(mode, { namespace });
        owner.emit("stream:start", { streamId });
        await owner.next("stream:started");
        await viewer.ack("stream:join", { streamId });
        owner.close();
        const [stopped] = await viewer.next("stream:stopped");
        assert.equal(stopped.status, "ok");
        assert.equal(stopped.streamId, streamId);
        assert.equal(typeof stopped.reason, "string");
      }));

    test("namespaces share a connection and nothing else", () =>
      withClients(caddy, async (join) => {
        const streamId = `shared-${mode}`;
        const one = await join(mode);
        const other = await join(mode, { namespace: "/first" });
        // A second namespace on the connection of the first client.
        const second = one.socket.io.socket("/first");
        const heard = [];
        second.onAny((event) => heard.push(event));
        const connected = happens(second, "connect");
        second.connect();
        await connected;
        assert.notEqual(second.id, one.id);

        one.emit("stream:start", { streamId });
        await one.next("stream:started");
        other.emit("stream:start", { streamId });
        await other.next("stream:started");
        const data = happens(second, "stream:data");
        other.emit("stream:data", { streamId, chunk: Buffer.from("x") });
        assert.deepEqual(await data, { streamId, chunk: Buffer.from("x") });
        assert.deepEqual(one.seen("stream:data"), []);
        assert.deepEqual(heard, ["stream:data"]);
        second.disconnect();
        one.emit("stream:stop", { streamId });
        await one.next("stream:stopped");
      }));
  });
}
