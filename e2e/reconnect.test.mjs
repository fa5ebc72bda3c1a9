// Clients that stop and start again, and Caddy that stops and restarts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { modes, open, withClients } from "./lib/client.mjs";

const site = "localhost {\n\tsocketio_stream\n}";

async function withCaddy(body) {
  const caddy = await startCaddy({ caddyfile: site });
  try {
    return await body(caddy);
  } finally {
    await caddy.stop();
  }
}

for (const mode of Object.keys(modes)) {
  describe(`by ${mode}`, () => {
    test("a client that disconnects can connect again", () =>
      withCaddy((caddy) =>
        withClients(caddy, async (join) => {
          const other = await join(mode);
          const client = await join(mode);
          for (let round = 0; round < 3; round++) {
            const { id } = client;
            client.emit("stream:start", { streamId: `round ${round}` });
            await client.next("stream:started");
            client.socket.disconnect();
            assert.deepEqual(await client.next("(disconnect)"), ["io client disconnect"]);
            const [stopped] = await other.next("stream:stopped");
            assert.equal(stopped.streamId, `round ${round}`);

            client.socket.connect();
            await client.connected();
            assert.notEqual(client.id, id);
            client.emit("message", `round ${round}`);
            assert.deepEqual(await other.next("message"), [`round ${round}`]);
          }
        }),
      ));

    test("a client comes back by itself when Caddy does", () =>
      withCaddy((caddy) =>
        withClients(caddy, async (join) => {
          const patient = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
          const one = await join(mode, patient);
          const other = await join(mode, patient);
          await caddy.restart();
          for (const client of [one, other]) {
            const [reason] = await client.next("(disconnect)");
            assert.match(reason, /^transport (close|error)$/);
            await client.next("(connect)");
          }
          one.emit("stream:data", { chunk: Buffer.from("again") });
          assert.deepEqual(await other.next("stream:data"), [{ chunk: Buffer.from("again") }]);
        }),
      ));

    test("Caddy ends at once while clients are connected", () =>
      withCaddy((caddy) =>
        withClients(caddy, async (join) => {
          const clients = await Promise.all(Array.from({ length: 5 }, () => join(mode)));
          const began = Date.now();
          const exit = await caddy.stop();
          const took = Date.now() - began;
          assert.deepEqual(exit, { code: 0, signal: null });
          assert.ok(took < 5_000, `the exit took ${took} ms`);
          for (const client of clients) {
            await client.next("(disconnect)");
          }
        }),
      ));

    test("what is sent while the transport is still changing arrives in order", () =>
      withCaddy((caddy) =>
        withClients(caddy, async (join) => {
          const count = 300;
          const other = await join("websocket");
          const client = open(caddy, mode);
          try {
            await client.next("(connect)");
            for (let n = 0; n < count; n++) {
              client.emit("message", n);
              other.emit("message", n);
              // Spreads the messages over the requests of the upgrade.
              await new Promise(setImmediate);
            }
            for (let n = 0; n < count; n++) {
              assert.deepEqual(await other.next("message"), [n]);
              assert.deepEqual(await client.next("message"), [n]);
            }
          } finally {
            client.close();
          }
        }),
      ));
  });
}
