// Who may come from where: the allow-list holds for polling and for WebSocket
// alike, and clients without an origin pass.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { connect, modes } from "./lib/client.mjs";
import { request, webSocket } from "./lib/http.mjs";

const polling = "/socket.io/?EIO=4&transport=polling";
const websocket = "/socket.io/?EIO=4&transport=websocket";

const allowed = ["https://app.example.com", "https://one.apps.example.com"];
const refused = [
  "https://example.com",
  "https://other.example.com",
  "http://app.example.com",
  "https://app.example.com:8443",
  "https://app.example.com.invalid",
  "https://apps.example.com.invalid",
  "null",
];

describe("with an allow-list", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({
      caddyfile: `localhost {
	socketio_stream {
		cors {
			origins https://app.example.com *.apps.example.com
			credentials
		}
	}
}`,
    });
  });

  after(() => caddy?.stop());

  for (const origin of allowed) {
    test(`${origin} may come, with credentials`, async () => {
      const answer = await request(caddy, polling, { headers: { origin } });
      assert.equal(answer.status, 200);
      assert.match(answer.text, /^0\{"sid":/);
      allows(answer, origin);
      const { sid } = JSON.parse(answer.text.slice(1));
      const post = await request(caddy, `${polling}&sid=${sid}`, {
        method: "POST",
        headers: { origin, "content-type": "text/plain;charset=UTF-8" },
        body: "40",
      });
      assert.equal(post.text, "ok");
      allows(post, origin);

      const { socket, first } = await webSocket(caddy, websocket, { origin });
      assert.match(first, /^0\{"sid":/);
      socket.terminate();
    });

    test(`${origin} has its preflight answered`, async () => {
      const answer = await request(caddy, polling, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "content-type,x-custom",
        },
      });
      assert.ok(answer.status === 200 || answer.status === 204, `status ${answer.status}`);
      assert.equal(answer.text, "");
      allows(answer, origin);
      assert.match(answer.headers["access-control-allow-methods"], /\bPOST\b/);
      assert.match(answer.headers["access-control-allow-headers"], /content-type/i);
    });
  }

  // It comes before the others that are refused: of too many, only some have a
  // line of their own.
  test("a refusal names its origin in the log", async () => {
    const origin = "https://logged.example.com";
    await request(caddy, polling, { headers: { origin } });
    await caddy.logged(/origin refused.*logged\.example\.com/);
  });

  for (const origin of refused) {
    test(`${origin} may not, on any transport`, async () => {
      const answer = await request(caddy, polling, { headers: { origin } });
      assert.equal(answer.status, 403);
      assert.deepEqual(answer.json(), { code: 4, message: "Forbidden" });
      assert.equal(answer.headers["access-control-allow-origin"], undefined);
      const preflight = await request(caddy, polling, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
      assert.equal(preflight.headers["access-control-allow-origin"], undefined);
      assert.equal((await webSocket(caddy, websocket, { origin })).status, 403);
    });
  }

  for (const mode of Object.keys(modes)) {
    test(`a client without an origin passes by ${mode}`, async () => {
      const client = await connect(caddy, mode);
      assert.ok(client.id);
      client.close();
    });
  }
});

describe("without one", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({ caddyfile: "localhost {\n\tsocketio_stream\n}" });
  });

  after(() => caddy?.stop());

  test("the page's own origin may come", async () => {
    const origin = caddy.url;
    assert.equal((await request(caddy, polling, { headers: { origin } })).status, 200);
    const { socket, first } = await webSocket(caddy, websocket, { origin });
    assert.match(first, /^0\{"sid":/);
    socket.terminate();
  });

  for (const origin of ["https://app.example.com", "https://localhost:1", "http://localhost", "null"]) {
    test(`${origin} may not`, async () => {
      assert.equal((await request(caddy, polling, { headers: { origin } })).status, 403);
      assert.equal((await webSocket(caddy, websocket, { origin })).status, 403);
    });
  }

  test("a client without an origin passes", async () => {
    assert.equal((await request(caddy, polling)).status, 200);
  });
});

describe("with any origin", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({
      caddyfile: "localhost {\n\tsocketio_stream {\n\t\tcors {\n\t\t\torigins *\n\t\t}\n\t}\n}",
    });
  });

  after(() => caddy?.stop());

  test("everyone may come", async () => {
    const origin = "https://anyone.example.com";
    const answer = await request(caddy, polling, { headers: { origin } });
    assert.equal(answer.status, 200);
    assert.ok(["*", origin].includes(answer.headers["access-control-allow-origin"]));
    const { socket } = await webSocket(caddy, websocket, { origin });
    socket.terminate();
  });
});

function allows(answer, origin) {
  assert.equal(answer.headers["access-control-allow-origin"], origin);
  assert.equal(answer.headers["access-control-allow-credentials"], "true");
  assert.match(answer.headers.vary ?? "", /\borigin\b/i);
}
