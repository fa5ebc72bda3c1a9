// The end of the process: pending polls are answered at once, clients lose
// their transport rather than hear a "disconnect", so that they reconnect by
// themselves, and nothing holds the exit up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { happens, withClients } from "./lib/client.mjs";

// Caddy waits for requests under way as long as it takes: there is no
// grace_period here, so a poll that nobody answers would show.
const site = "localhost {\n\tsocketio_stream {\n\t\tping_interval 2m\n\t}\n}";

test("SIGTERM ends polls and WebSockets by their transport, and Caddy with them", async () => {
  const caddy = await startCaddy({ caddyfile: site });
  try {
    await withClients(caddy, async (join) => {
      const clients = [];
      for (const mode of ["polling", "websocket", "upgrade", "polling"]) {
        clients.push(await join(mode));
      }
      const ends = clients.map((client) => happens(client.socket, "disconnect"));
      const { code, signal } = await caddy.stop();
      assert.deepEqual({ code, signal }, { code: 0, signal: null });
      for (const reason of await Promise.all(ends)) {
        assert.match(reason, /^transport (close|error)$/);
      }
    });
  } finally {
    await caddy.stop();
  }
});
