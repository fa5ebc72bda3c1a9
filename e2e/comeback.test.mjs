// Clients whose line goes dead, and who are back long before Caddy can know that
// their old connections are: they take their places again.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { connect, modes, withClients } from "./lib/client.mjs";
import { startSilentProxy } from "./lib/silentproxy.mjs";

let caddy;

before(async () => {
  caddy = await startCaddy({
    caddyfile: `localhost {
	socketio_stream {
		namespace / {
			events sessions {
				max_clients 2
			}
		}
		namespace /streams {
			events streaming
		}
	}
}`,
  });
});

after(() => caddy?.stop());

// cutAndBack connects a client through a line, runs body with it, cuts the line,
// and runs back with the client's successor.
async function cutAndBack(mode, options, body, back) {
  const proxy = await startSilentProxy(caddy.httpsPort);
  const clients = [];
  try {
    const client = await connect({ url: proxy.url, ca: caddy.ca }, mode, options);
    clients.push(client);
    const kept = await body(client);
    proxy.cut();
    await client.next("(disconnect)");
    const again = await connect(caddy, mode, options);
    clients.push(again);
    await back(again, kept);
  } finally {
    for (const client of clients) {
      client.close();
    }
    proxy.stop();
  }
}

for (const mode of Object.keys(modes)) {
  describe(`by ${mode}`, () => {
    test("a member takes its place in a full session", () =>
      withClients(caddy, async (join) => {
        const other = await join(mode);
        await cutAndBack(
          mode,
          {},
          async (ada) => {
            const { success, token } = await ada.ack("join", { sessionId: mode, clientName: "Ada" });
            assert.equal(success, true);
            assert.equal((await other.ack("join", { sessionId: mode, clientName: "Bob" })).success, true);
            return token;
          },
          async (ada, token) => {
            assert.equal((await ada.ack("join", { sessionId: mode, clientName: "Ada" })).success, false);
            const answer = await ada.ack("join", { sessionId: mode, clientName: "Ada", token });
            assert.equal(answer.success, true, JSON.stringify(answer));
            // What comes next to the other shows that nothing else came before.
            ada.emit("leave", { sessionId: mode });
            await other.next("client-left");
            assert.deepEqual(other.inbox.map(({ event }) => event).filter((event) => event.startsWith("client-")), []);
          },
        );
      }));

    test("the owner of a stream goes on with it", () =>
      withClients(caddy, async (join) => {
        const namespace = "/streams";
        const streamId = `of ${mode}`;
        const viewer = await join(mode, { namespace });
        await cutAndBack(
          mode,
          { namespace },
          async (owner) => {
            const { success, secret } = await owner.ack("stream:start", { streamId });
            assert.equal(success, true);
            return secret;
          },
          async (owner, secret) => {
            const stranger = await owner.ack("stream:start", { streamId });
            assert.equal(stranger.code, "stream_taken", JSON.stringify(stranger));
            const answer = await owner.ack("stream:start", { streamId, secret });
            assert.equal(answer.success, true, JSON.stringify(answer));
            owner.emit("stream:data", { streamId, chunk: "after" });
            assert.equal((await viewer.next("stream:data"))[0].chunk, "after");
            assert.deepEqual(viewer.inbox.map(({ event }) => event).filter((event) => event.startsWith("stream:")), []);
          },
        );
      }));
  });
}
