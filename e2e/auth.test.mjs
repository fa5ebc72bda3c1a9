// Who gets in, as the real client sees it: what is shown with `auth`, the shape
// of refusals, what an identity allows, refreshing it, and its end.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign as signWith } from "node:crypto";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { happens, modes, open, withClients, within } from "./lib/client.mjs";

const secret = "a secret of more than 32 bytes, for tests";
const first = generateKeyPairSync("rsa", { modulusLength: 2048 });
const second = generateKeyPairSync("ec", { namedCurve: "P-256" });

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const seconds = () => Math.floor(Date.now() / 1000);

// token makes a token for a subject that lives an hour, unless the claims say
// otherwise.
function token(claims = {}, header = { alg: "HS256" }, key = secret) {
  const text = `${encode(header)}.${encode({ sub: "ada", exp: seconds() + 3600, ...claims })}`;
  return `${text}.${signature(text, header.alg, key).toString("base64url")}`;
}

function signature(text, algorithm, key) {
  switch (algorithm) {
    case "HS256":
      return createHmac("sha256", key).update(text).digest();
    case "none":
      return Buffer.alloc(0);
    case "ES256":
      return signWith("sha256", text, { key, dsaEncoding: "ieee-p1363" });
    default:
      return signWith("sha256", text, key);
  }
}

// refusal resolves to the error that the client is refused with.
async function refusal(caddy, mode, options) {
  const client = open(caddy, mode, options);
  try {
    const [err] = await client.next("(connect_error)");
    return { message: err.message, data: err.data };
  } finally {
    client.close();
  }
}

describe("by token", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({
      env: { JWT_SECRET: secret },
      caddyfile: `localhost {
	socketio_stream {
		status /status
		auth jwt {
			secret {env.JWT_SECRET}
			leeway 1s
			from auth.token query.token cookie:session header
			claim rooms rooms
			claim publish events
		}
		namespace / {
			events relay chat
			events streaming {
				audience subscribers
			}
		}
		namespace /public {
			auth none
			events relay chat
		}
	}
}`,
    });
  });

  after(() => caddy?.stop());

  const rights = { rooms: ["stream:own-*"], events: ["chat", "stream:join"] };

  for (const mode of Object.keys(modes)) {
    test(`${mode}: a token lets in, and its rights count`, () =>
      withClients(caddy, async (join) => {
        const ada = await join(mode, { auth: { token: token(rights) } });
        const bob = await join(mode, { auth: { token: token({ sub: "bob", ...rights }) } });
        assert.deepEqual(await ada.ack("chat", "hi"), { success: true });
        assert.deepEqual(await bob.next("chat"), ["hi"]);
        assert.deepEqual(await ada.ack("message", "hi"), {
          success: false,
          error: "not allowed to send this event",
          code: "forbidden",
        });
        assert.deepEqual(await ada.next("error"), [
          { message: "not allowed to send this event", code: "forbidden" },
        ]);
        assert.equal((await ada.ack("stream:join", { streamId: "own-1" })).success, true);
        assert.equal((await ada.ack("stream:join", { streamId: "bobs" })).code, "forbidden");
      }));

    test(`${mode}: a refusal tells a code, and nothing else`, async () => {
      const generic = (code) => ({ message: "not authorized", data: { code } });
      for (const [auth, want] of [
        [undefined, generic("unauthorized")],
        [{}, generic("unauthorized")],
        [{ token: "" }, generic("unauthorized")],
        [{ token: 7 }, generic("invalid_token")],
        [{ token: "garbage" }, generic("invalid_token")],
        [{ token: token({}, { alg: "none" }) }, generic("invalid_token")],
        [{ token: token({}, { alg: "HS256" }, "another secret of more than 32 bytes") }, generic("invalid_token")],
        [{ token: token({ nbf: seconds() + 600 }) }, generic("invalid_token")],
        [{ token: token({ x: "x".repeat(10_000) }) }, generic("invalid_token")],
        [
          { token: token({ exp: seconds() - 600 }) },
          { message: "the token has expired", data: { code: "token_expired" } },
        ],
      ]) {
        assert.deepEqual(await refusal(caddy, mode, { auth }), want);
      }
    });
  }

  // Tokens live for whole seconds, and these for long enough to be shown in
  // time: the clients of all modes wait for their ends together.
  describe("at the end of a token", { concurrency: true }, () => {
    const lifetime = 5;

    for (const mode of Object.keys(modes)) {
      test(`${mode}: a token that expires ends the socket`, () =>
        withClients(caddy, async (join) => {
          const client = await join(mode, { auth: { token: token({ ...rights, exp: seconds() + lifetime }) } });
          assert.deepEqual(await client.next("error"), [
            { message: "the token has expired", code: "token_expired" },
          ]);
          assert.deepEqual(await client.next("(disconnect)"), ["io server disconnect"]);
        }));

      test(`${mode}: a token that is refreshed does not`, () =>
        withClients(caddy, async (join) => {
          const client = await join(mode, { auth: { token: token({ ...rights, exp: seconds() + lifetime }) } });
          const other = await join(mode, { auth: { token: token({ ...rights, exp: seconds() + lifetime }) } });
          const exp = seconds() + 3600;
          assert.deepEqual(await client.ack("auth:refresh", { token: token({ ...rights, exp }) }), {
            success: true,
            expiresAt: exp * 1000,
          });
          for (const [bad, code] of [
            [{ token: token({ ...rights, sub: "bob" }) }, "forbidden"],
            [{ token: token({ ...rights, exp: seconds() - 600 }) }, "token_expired"],
            [{ token: "garbage" }, "invalid_token"],
            [{}, "unauthorized"],
            ["text", "unauthorized"],
          ]) {
            const answer = await client.ack("auth:refresh", bad);
            assert.equal(answer.success, false);
            assert.equal(answer.code, code);
          }
          await other.next("(disconnect)");
          assert.deepEqual(await client.ack("chat", "still here"), { success: true });
          assert.deepEqual(client.disconnects, []);
        }));
    }
  });

  test("a client that gets a new token comes back", async () => {
    let exp = seconds() - 600;
    const client = open(caddy, "websocket", {
      auth: (answer) => answer({ token: token({ ...rights, exp }) }),
    });
    try {
      const [err] = await client.next("(connect_error)");
      assert.equal(err.data.code, "token_expired");
      exp = seconds() + 3600;
      client.socket.connect();
      await client.next("(connect)");
    } finally {
      client.close();
    }
  });

  test("a token may come in the query, a cookie or a header", () =>
    withClients(caddy, async (join) => {
      await join("upgrade", { query: { token: token(rights) } });
      await join("upgrade", { extraHeaders: { cookie: `session=${token(rights)}` } });
      await join("upgrade", { extraHeaders: { authorization: `Bearer ${token(rights)}` } });
    }));

  test("a namespace may be open to all", () =>
    withClients(caddy, async (join) => {
      await join("websocket", { namespace: "/public" });
    }));
});

describe("by the keys of an issuer", () => {
  let caddy;
  let issuer;
  let answer;
  const jwk = (pair, kid) => ({ ...pair.publicKey.export({ format: "jwk" }), kid, use: "sig" });
  const publishes = (...keys) => (request, response) => response.end(JSON.stringify({ keys }));
  const claims = { iss: "https://issuer.example.com", aud: "chat" };
  const byFirst = () => token(claims, { alg: "RS256", kid: "first" }, first.privateKey);
  const bySecond = () => token(claims, { alg: "ES256", kid: "second" }, second.privateKey);

  before(async () => {
    answer = publishes(jwk(first, "first"));
    issuer = createServer((request, response) => answer(request, response));
    issuer.listen(0, "127.0.0.1");
    await happens(issuer, "listening");
    caddy = await startCaddy({
      caddyfile: `localhost {
	socketio_stream {
		auth jwt {
			jwks http://127.0.0.1:${issuer.address().port}/keys
			issuer https://issuer.example.com
			audience chat
		}
	}
}`,
    });
  });

  after(async () => {
    await caddy?.stop();
    issuer?.closeAllConnections();
    issuer?.close();
  });

  test("keys rotate without a restart, and outlive the issuer", () =>
    withClients(caddy, async (join) => {
      await join("websocket", { auth: { token: byFirst() } });
      const confused = token(claims, { alg: "HS256", kid: "first" }, first.publicKey.export({ format: "pem", type: "spki" }));
      assert.equal((await refusal(caddy, "websocket", { auth: { token: confused } })).data.code, "invalid_token");

      answer = publishes(jwk(first, "first"), jwk(second, "second"));
      await join("websocket", { auth: { token: bySecond() } });

      answer = (request, response) => response.end("<html>");
      await join("websocket", { auth: { token: byFirst() } });

      issuer.closeAllConnections();
      await within(new Promise((resolve) => issuer.close(resolve)), "the end of the issuer");
      await join("websocket", { auth: { token: byFirst() } });
      await join("polling", { auth: { token: bySecond() } });
    }));
});

describe("by another server", () => {
  let caddy;
  let backend;
  let asked = [];

  before(async () => {
    backend = createServer((request, response) => {
      let text = "";
      request.on("data", (part) => (text += part));
      request.on("end", () => {
        const question = JSON.parse(text);
        asked.push({ ...question, cookie: request.headers.cookie });
        response.statusCode = { right: 200, banned: 403 }[question.auth.password] ?? 401;
        response.end(JSON.stringify({ id: "ada", publish: ["chat"] }));
      });
    });
    backend.listen(0, "127.0.0.1");
    await happens(backend, "listening");
    caddy = await startCaddy({
      caddyfile: `localhost {
	socketio_stream {
		auth http http://127.0.0.1:${backend.address().port}/auth {
			timeout 2s
			forward_headers Cookie
		}
		namespace /chat {
			events relay chat other
		}
	}
}`,
    });
  });

  after(async () => {
    await caddy?.stop();
    backend?.closeAllConnections();
    backend?.close();
  });

  test("it decides, and is told what the client shows", () =>
    withClients(caddy, async (join) => {
      asked = [];
      const client = await join("upgrade", {
        namespace: "/chat",
        auth: { password: "right" },
        query: { room: "a" },
        extraHeaders: { cookie: "a=b" },
      });
      assert.deepEqual(asked, [
        {
          namespace: "/chat",
          auth: { password: "right" },
          refresh: false,
          handshake: { address: "127.0.0.1", secure: true, query: { room: ["a"] } },
          cookie: "a=b",
        },
      ]);
      assert.equal((await client.ack("chat", 1)).success, true);
      assert.equal((await client.ack("other", 1)).code, "forbidden");
      for (const [password, code] of [
        ["wrong", "unauthorized"],
        ["banned", "forbidden"],
      ]) {
        const err = await refusal(caddy, "websocket", { namespace: "/chat", auth: { password } });
        assert.equal(err.data.code, code);
      }
      assert.ok(!caddy.log().includes("banned"), "credentials are in the log");
    }));
});

// What passes by itself is no refusal: the clients of Socket.IO try again by themselves after the
// end of a connection, and never after a connect_error of a namespace.
describe("a backend that cannot answer now", () => {
  const takes = (ms) => async (question, response) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    response.setHeader("Content-Type", "application/json");
    response.end('{"id":"u"}');
  };
  let caddy;
  let backend;
  let answer;

  before(async () => {
    backend = createServer((request, response) => {
      request.resume();
      request.on("end", () => answer(request, response));
    });
    backend.listen(0, "127.0.0.1");
    await happens(backend, "listening");
    caddy = await startCaddy({
      caddyfile: `localhost {
	socketio_stream {
		connect_timeout 10s
		auth http http://127.0.0.1:${backend.address().port}/who
	}
}`,
    });
  });

  after(async () => {
    await caddy?.stop();
    backend?.closeAllConnections();
    backend?.close();
  });

  // reconnecting opens a client as pages do: it comes back by itself.
  const reconnecting = (options) => open(caddy, "websocket", { reconnection: true, reconnectionDelay: 200, reconnectionDelayMax: 500, ...options });

  test("200 clients at once, and a second for each", async () => {
    answer = takes(1000);
    const clients = [];
    let gaveUp = 0;
    try {
      for (let i = 0; i < 200; i++) {
        const client = reconnecting({ auth: { i } });
        client.socket.on("connect_error", () => {
          if (!client.socket.active) {
            gaveUp++;
          }
        });
        clients.push(client);
      }
      await Promise.all(clients.map((client) => client.next("(connect)")));
      assert.equal(gaveUp, 0);
    } finally {
      for (const client of clients) {
        client.close();
      }
    }
  });

  test("it is away for a moment while a client's connection blinks", async () => {
    answer = takes(0);
    const client = reconnecting({ auth: { me: 1 } });
    try {
      await client.next("(connect)");
      answer = (question, response) => {
        response.statusCode = 503;
        response.end();
      };
      client.socket.io.engine.close();
      await client.next("(disconnect)");
      await new Promise((resolve) => setTimeout(resolve, 2000));
      assert.equal(client.socket.connected, false);
      answer = takes(0);
      await client.next("(connect)");
      assert.equal(client.socket.connected, true);
    } finally {
      client.close();
    }
  });

  test("it is away for longer than a client may take to connect", async () => {
    let questions = 0;
    answer = (question, response) => {
      questions++;
      response.statusCode = 503;
      response.end();
    };
    const client = reconnecting({ auth: { me: 2 } });
    try {
      let errors = 0;
      client.socket.on("connect_error", () => errors++);
      // The connection of a client that was not let in has ended, and the client comes again.
      await happens(client.socket.io, "reconnect_attempt");
      assert.ok(questions > 1, "it was asked once");
      assert.equal(client.socket.active, true);
      answer = takes(0);
      await client.next("(connect)");
      assert.equal(errors, 0);
    } finally {
      client.close();
    }
  });
});

describe("a reload that adds auth", () => {
  const site = (auth) => `localhost {
	socketio_stream {
		${auth}
		namespace / {
			events relay chat
		}
	}
}`;
  const jwt = "auth jwt {\n secret {env.JWT_SECRET}\n claim publish events\n}";
  let caddy;

  before(async () => {
    caddy = await startCaddy({ env: { JWT_SECRET: secret }, caddyfile: site("") });
  });

  after(() => caddy?.stop());

  for (const mode of Object.keys(modes)) {
    test(`disconnects by ${mode} who would not be let in, and gives the others their rights`, () =>
      withClients(caddy, async (join) => {
        await caddy.reload(site(""));
        const known = await join(mode, { auth: { token: token({ events: ["chat"] }) } });
        const expired = await join(mode, { auth: { token: token({ exp: seconds() - 3600 }) } });
        const nobody = await join(mode);
        assert.equal((await known.ack("chat", 1)).success, true);
        await caddy.reload(site(jwt));
        for (const [client, code] of [
          [expired, "token_expired"],
          [nobody, "unauthorized"],
        ]) {
          const [err] = await client.next("error");
          assert.equal(err.code, code);
          const [reason] = await client.next("(disconnect)");
          assert.equal(reason, "io server disconnect");
        }
        // It is looked at in the background.
        const deadline = Date.now() + 10_000;
        let answer;
        do {
          answer = await known.ack("other", 1);
        } while (answer.code !== "forbidden" && Date.now() < deadline);
        assert.equal(answer.code, "forbidden");
        assert.equal((await known.ack("chat", 1)).success, true);
        assert.equal((await known.ack("auth:refresh", { token: token({ sub: "eve" }) })).code, "forbidden");
      }));
  }
});
