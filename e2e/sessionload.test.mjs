// Many clients who share, leave, come back and are killed at random, by the
// load generator of bench/: a small version of its scenario `sessions`.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { e2eBin, root, startCaddy } from "./lib/caddy.mjs";

test("all clients believe what the server knows, and nothing crosses a session", async () => {
  const caddy = await startCaddy({
    bin: e2eBin,
    caddyfile: `localhost {
	socketio_stream {
		namespace / {
			events sessions {
				session_timeout 1s
				history 10
			}
		}
	}
}`,
  });
  try {
    const load = ["-scenario", "sessions", "-rooms", "20", "-n", "6", "-rate", "1000", "-duration", "5s"];
    const { stdout } = await promisify(execFile)(
      "go",
      ["run", "./cmd/load", "-url", `https://127.0.0.1:${caddy.httpsPort}/socket.io/`, ...load],
      { cwd: path.join(root, "bench"), timeout: 180_000 },
    );
    const { values, notes = [] } = JSON.parse(stdout);
    for (const name of ["wrong_beliefs", "crossed", "lost", "ghosts", "failed"]) {
      assert.equal(values[name], 0, `${name}: ${stdout} ${notes}`);
    }
    for (const name of ["checked_beliefs", "deliveries", "joins", "leaves", "kills"]) {
      assert.ok(values[name] > 0, `${name}: ${stdout}`);
    }
  } finally {
    await caddy.stop();
  }
});
