// Compression of both kinds, with the real client: what arrives is what was
// sent, and less of it goes over the wire.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { withClients } from "./lib/client.mjs";
import { request } from "./lib/http.mjs";

const long = "a word, and another; ".repeat(5000);

describe("compression", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({
      caddyfile: "localhost {\n\tsocketio_stream {\n\t\tper_message_deflate\n\t\thttp_compression 1KB\n\t}\n}",
    });
  });

  after(() => caddy?.stop());

  for (const mode of ["polling", "websocket", "upgrade"]) {
    test(`text and binary arrive whole by ${mode}`, () =>
      withClients(caddy, async (join) => {
        const [sender, receiver] = [await join(mode), await join(mode)];
        const binary = Buffer.from(long);
        sender.emit("message", { long, list: [binary] }, "short");
        const [first, second] = await receiver.next("message");
        assert.equal(first.long, long);
        assert.deepEqual(first.list[0], binary);
        assert.equal(second, "short");
      }));
  }

  test("a WebSocket client agrees on permessage-deflate, without context takeover", () =>
    withClients(caddy, async (join) => {
      const client = await join("websocket");
      const { extensions } = client.socket.io.engine.transport.ws;
      assert.match(extensions, /permessage-deflate/);
    }));

  test("a poll's answer is gzipped where the client accepts it", async () => {
    const path = "/socket.io/?EIO=4&transport=polling";
    const { sid } = JSON.parse((await request(caddy, path)).text.slice(1));
    const session = `${path}&sid=${sid}`;
    await request(caddy, session, { method: "POST", body: "40" });
    await request(caddy, session);
    await withClients(caddy, async (join) => {
      (await join("websocket")).emit("message", long);
      const answer = await request(caddy, session, { headers: { "Accept-Encoding": "gzip" } });
      assert.equal(answer.headers["content-encoding"], "gzip");
      assert.ok(Number(answer.headers["content-length"]) < long.length / 10);
    });
  });
});
