// Sessions with the real client: who is there, text and binary, files in
// chunks, history, fingerprints and tokens, throttling, batches, bad input.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { e2eBin, startCaddy } from "./lib/caddy.mjs";
import { modes, withClients } from "./lib/client.mjs";

let caddy;

before(async () => {
  caddy = await startCaddy({
    bin: e2eBin,
    caddyfile: `localhost {
	socketio_stream {
		status /status
		namespace / {
			events sessions
		}
		namespace /history {
			events sessions {
				history 3 1MB
			}
		}
		namespace /locked {
			events sessions {
				fingerprint first
			}
		}
		namespace /strict {
			events sessions {
				max_clients 2
				session_timeout 0
				throttle content 3/1h
				batch 4
			}
		}
	}
}`,
  });
});

after(() => caddy?.stop());

// enters joins a session and checks that it was let in.
async function enters(client, sessionId, clientName, more = {}) {
  const answer = await client.ack("join", { sessionId, clientName, ...more });
  assert.equal(answer.success, true, JSON.stringify(answer));
  return answer;
}

function chunk(contentId, chunkIndex, totalChunks, encryptedData, iv = randomBytes(12)) {
  return { contentId, chunkIndex, totalChunks, encryptedData, iv };
}

for (const mode of Object.keys(modes)) {
  describe(`by ${mode}`, () => {
    test("those in a session know of each other", () =>
      withClients(caddy, async (join) => {
        const sessionId = `members-${mode}`;
        const ann = await join(mode);
        const ben = await join(mode);
        const first = await enters(ann, sessionId, "Ann");
        assert.deepEqual(first.clients, [{ id: ann.id, name: "Ann" }]);
        assert.equal(typeof first.token, "string");
        const second = await enters(ben, sessionId, "Ben");
        assert.deepEqual(second.clients, [
          { id: ann.id, name: "Ann" },
          { id: ben.id, name: "Ben" },
        ]);
        assert.deepEqual(await ann.next("client-joined"), [{ sessionId, clientId: ben.id, clientName: "Ben" }]);
        assert.deepEqual(await enters(ann, sessionId, "Ann"), { ...second, token: first.token });

        assert.deepEqual(await ben.ack("leave", { sessionId }), { success: true });
        assert.deepEqual(await ann.next("client-left"), [{ sessionId, clientId: ben.id }]);
        await enters(ben, sessionId, "Ben");
        await ann.next("client-joined");
        const { id } = ben;
        ben.close();
        assert.deepEqual(await ann.next("client-left"), [{ sessionId, clientId: id }]);
        assert.deepEqual(ann.seen("client-left"), []);
      }));

    test("content arrives as it was sent, in its session alone", () =>
      withClients(caddy, async (join) => {
        const sessionId = `content-${mode}`;
        const ann = await join(mode);
        const ben = await join(mode);
        const far = await join(mode);
        await enters(ann, sessionId, "Ann");
        await enters(ben, sessionId, "Ben");
        await enters(far, `${sessionId}-far`, "Far");
        const content = { contentId: "c", senderId: ann.id, contentType: "text", metadata: { size: 5 } };
        for (const data of ["Hello, wörld!", randomBytes(100_000), undefined, [1, { deep: Buffer.from("x") }]]) {
          assert.deepEqual(await ann.ack("content", { sessionId, content, data, token: "secret" }), { success: true });
          const want = data === undefined ? { sessionId, content, clientId: ann.id } : { sessionId, content, data, clientId: ann.id };
          assert.deepEqual(await ben.next("content"), [want]);
        }
        // Without asking for an ack.
        ann.emit("content", { sessionId, content: "last" });
        assert.deepEqual(await ben.next("content"), [{ sessionId, content: "last", clientId: ann.id }]);
        await far.ack("leave", { sessionId: `${sessionId}-far` });
        assert.deepEqual(far.inbox.filter(({ event }) => event === "content"), []);
      }));

    test("a file in chunks arrives whole, and goes on after a reconnect", () =>
      withClients(caddy, async (join) => {
        const sessionId = `file-${mode}`;
        const total = 40;
        const file = randomBytes(total * 65_536);
        const part = (i) => file.subarray(i * 65_536, (i + 1) * 65_536);
        const receiver = await join(mode);
        await enters(receiver, sessionId, "Receiver");
        let sender = await join(mode);
        const first = sender.id;
        await enters(sender, sessionId, "Sender");
        for (let i = 0; i < total; i++) {
          if (i === total / 2) {
            sender.close();
            await receiver.next("client-left");
            sender = await join(mode);
            await enters(sender, sessionId, "Sender");
          }
          assert.deepEqual(await sender.ack("chunk", { sessionId, chunk: chunk("file", i, total, part(i)) }), { success: true });
        }
        const hash = createHash("sha256");
        for (let i = 0; i < total; i++) {
          const [{ chunk: got, ...rest }] = await receiver.next("chunk");
          assert.deepEqual(rest, { sessionId, clientId: i < total / 2 ? first : sender.id });
          assert.equal(got.chunkIndex, i);
          assert.equal(got.iv.length, 12);
          hash.update(got.encryptedData);
        }
        assert.equal(hash.digest("hex"), createHash("sha256").update(file).digest("hex"));
        const refused = await sender.ack("chunk", { sessionId, chunk: chunk("file", total, total, part(0)) });
        assert.equal(refused.code, "invalid_chunk");
      }));

    test("a late joiner gets the history first", () =>
      withClients(caddy, async (join) => {
        const sessionId = `history-${mode}`;
        const ann = await join(mode, { namespace: "/history" });
        await enters(ann, sessionId, "Ann");
        const image = randomBytes(50_000);
        for (const data of ["1", "2", image, "4"]) {
          await ann.ack("content", { sessionId, content: {}, data });
        }
        const late = await join(mode, { namespace: "/history" });
        await enters(late, sessionId, "Late");
        ann.emit("content", { sessionId, content: {}, data: "live" });
        for (const data of ["2", image, "4", "live"]) {
          assert.deepEqual(await late.next("content"), [{ sessionId, content: {}, data, clientId: ann.id }]);
        }
      }));

    test("a session is locked by its first fingerprint", () =>
      withClients(caddy, async (join) => {
        const sessionId = `locked-${mode}`;
        const ann = await join(mode, { namespace: "/locked" });
        const ben = await join(mode, { namespace: "/locked" });
        const fingerprint = randomBytes(32).toString("base64");
        await enters(ann, sessionId, "Ann", { fingerprint });
        const refused = await ben.ack("join", { sessionId, clientName: "Ben", fingerprint: "guess" });
        assert.equal(refused.success, false);
        assert.equal(refused.code, "wrong_fingerprint");
        assert.deepEqual(await ben.next("error"), [{ message: refused.error, code: refused.code }]);

        const { token } = await enters(ben, sessionId, "Ben", { fingerprint });
        const denied = await ben.ack("content", { sessionId, content: {}, token: "guess" });
        assert.equal(denied.code, "invalid_token");
        assert.deepEqual(await ben.ack("content", { sessionId, content: {}, token }), { success: true });
        assert.deepEqual(await ann.next("content"), [{ sessionId, content: {}, clientId: ben.id }]);
        const sent = chunk("c", 0, 1, randomBytes(10));
        assert.deepEqual(await ben.ack("chunk", { sessionId, chunk: sent, token }), { success: true });
        assert.deepEqual(await ann.next("chunk"), [{ sessionId, chunk: sent, clientId: ben.id }]);
      }));

    test("a batch is as good as its entries one by one", () =>
      withClients(caddy, async (join) => {
        const sessionId = `batch-${mode}`;
        const ann = await join(mode);
        const ben = await join(mode);
        await enters(ben, sessionId, "Ben");
        const data = randomBytes(1000);
        const answer = await ann.ack("batch", [
          { event: "join", data: { sessionId, clientName: "Ann" } },
          { event: "content", data: { sessionId, content: 1, data } },
          { event: "chunk", data: { sessionId, chunk: chunk("c", 0, 2, data, data.subarray(0, 12)) } },
          { event: "batch", data: [] },
        ]);
        assert.equal(answer.success, true);
        assert.deepEqual(answer.results.map(({ success, code }) => code ?? success), [true, true, true, "nested_batch"]);
        assert.deepEqual(await ben.next("content"), [{ sessionId, content: 1, data, clientId: ann.id }]);
        const [{ chunk: got }] = await ben.next("chunk");
        assert.deepEqual(got, chunk("c", 0, 2, data, data.subarray(0, 12)));
      }));

    test("too much, too often, too many", () =>
      withClients(caddy, async (join) => {
        const strict = { namespace: "/strict" };
        const sessionId = `strict-${mode}`;
        const ann = await join(mode, strict);
        const ben = await join(mode, strict);
        const cem = await join(mode, strict);
        await enters(ann, sessionId, "Ann");
        await enters(ben, sessionId, "Ben");
        assert.equal((await cem.ack("join", { sessionId, clientName: "Cem" })).code, "session_full");
        for (let i = 0; i < 3; i++) {
          assert.deepEqual(await ann.ack("content", { sessionId, content: i }), { success: true });
          assert.deepEqual(await ben.next("content"), [{ sessionId, content: i, clientId: ann.id }]);
        }
        assert.equal((await ann.ack("content", { sessionId, content: 3 })).code, "throttled");
        assert.equal((await ann.next("error"))[0].code, "throttled");
        ann.emit("content", { sessionId, content: 3, volatile: true });
        assert.equal((await ann.ack("batch", Array(5).fill({ event: "leave", data: {} }))).code, "batch_too_large");
        await ann.next("error");
        assert.deepEqual(ann.seen("error"), []);
        // The others go on.
        assert.deepEqual(await ben.ack("content", { sessionId, content: "ben" }), { success: true });
        assert.deepEqual(await ann.next("content"), [{ sessionId, content: "ben", clientId: ben.id }]);
        assert.deepEqual(ben.seen("content"), []);
      }));

    test("bad input is refused and harms nothing", () =>
      withClients(caddy, async (join) => {
        const sessionId = `bad-${mode}`;
        const ann = await join(mode);
        const ben = await join(mode);
        await enters(ann, sessionId, "Ann");
        await enters(ben, sessionId, "Ben");
        for (const [event, args, code] of [
          ["join", [], "invalid_arguments"],
          ["join", [{ sessionId, clientName: "x" }, "callback"], "invalid_arguments"],
          ["join", [{ clientName: "x" }], "invalid_session_id"],
          ["join", [{ sessionId: Buffer.from("x"), clientName: "x" }], "invalid_session_id"],
          ["join", [{ sessionId, clientName: {} }], "invalid_client_name"],
          ["join", [{ sessionId, clientName: "x".repeat(129) }], "invalid_client_name"],
          ["join", [{ sessionId, clientName: "a\u0007" }], "invalid_client_name"],
          ["content", [{ sessionId: "nowhere", content: {} }], "not_in_session"],
          ["chunk", [{ sessionId, chunk: chunk("c", 3, 3, Buffer.from("x")) }], "invalid_chunk"],
          ["batch", [Array(10_000).fill({ event: "content", data: {} })], "batch_too_large"],
          ["nonsense", [1, 2, 3], "unknown_event"],
        ]) {
          ann.emit(event, ...args);
          const [error] = await ann.next("error");
          assert.equal(error.code, code, `${event}: ${JSON.stringify(error)}`);
          assert.equal(typeof error.message, "string");
          const answer = await ann.ack(event, ...args);
          assert.deepEqual(answer, { success: false, error: error.message, code });
          await ann.next("error");
        }
        assert.deepEqual(await ann.ack("content", { sessionId, content: "still here" }), { success: true });
        assert.deepEqual(await ben.next("content"), [{ sessionId, content: "still here", clientId: ann.id }]);
      }));
  });
}

describe("reconnecting", () => {
  test("a client that comes back rejoins a session that was empty", () =>
    withClients(caddy, async (join) => {
      const sessionId = "rejoin";
      const ann = await join("websocket", { namespace: "/locked", reconnection: true, reconnectionDelay: 20 });
      const first = await enters(ann, sessionId, "Ann", { fingerprint: "key" });
      const { id } = ann;
      ann.socket.io.engine.close();
      await ann.next("(disconnect)");
      await ann.next("(connect)");
      const other = await join("websocket", { namespace: "/locked" });
      assert.equal((await other.ack("join", { sessionId, clientName: "x", fingerprint: "other" })).code, "wrong_fingerprint");
      const second = await enters(ann, sessionId, "Ann", { fingerprint: "key" });
      assert.notEqual(ann.id, id);
      assert.notEqual(second.token, first.token);
      assert.deepEqual(second.clients, [{ id: ann.id, name: "Ann" }]);
    }));
});
