// Engine.IO on the wire, without a client library: the errors of the reference
// server, sizes, and polling over HTTP/2.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { connect, limit, modes, withClients } from "./lib/client.mjs";
import { request, webSocket } from "./lib/http.mjs";

const path = "/socket.io/?EIO=4&transport=polling";

let caddy;

before(async () => {
  caddy = await startCaddy({ caddyfile: "localhost {\n\tsocketio_stream\n}" });
});

after(() => caddy?.stop());

describe("errors", () => {
  const errors = [
    ["an unknown transport", "GET", "?EIO=4&transport=pigeon", 0, "Transport unknown"],
    ["no transport", "GET", "?EIO=4", 0, "Transport unknown"],
    ["an unknown sid", "GET", "?EIO=4&transport=polling&sid=unknown", 1, "Session ID unknown"],
    ["an unknown sid in a POST", "POST", "?EIO=4&transport=polling&sid=unknown", 1, "Session ID unknown"],
    ["a handshake by POST", "POST", "?EIO=4&transport=polling", 2, "Bad handshake method"],
    ["transport=websocket without an upgrade", "GET", "?EIO=4&transport=websocket", 3, "Bad request"],
    ["EIO=3", "GET", "?EIO=3&transport=polling", 5, "Unsupported protocol version"],
    ["no EIO", "GET", "?transport=polling", 5, "Unsupported protocol version"],
  ];

  for (const [what, method, query, code, message] of errors) {
    test(`${what} answers code ${code}`, async () => {
      const answer = await request(caddy, `/socket.io/${query}`, { method });
      assert.equal(answer.status, 400);
      assert.match(answer.headers["content-type"], /^application\/json\b/);
      assert.deepEqual(answer.json(), { code, message });
    });
  }

  test("polling with the sid of a WebSocket answers code 3", async () => {
    const { socket, first } = await webSocket(caddy, "/socket.io/?EIO=4&transport=websocket");
    const { sid } = JSON.parse(first.slice(1));
    const answer = await request(caddy, `${path}&sid=${sid}`);
    assert.equal(answer.status, 400);
    assert.deepEqual(answer.json(), { code: 3, message: "Bad request" });
    socket.terminate();
  });

  test("after a malformed payload the sid is unknown", async () => {
    const { sid } = (await handshake()).data;
    await request(caddy, `${path}&sid=${sid}`, { method: "POST", body: "not a packet" });
    const answer = await request(caddy, `${path}&sid=${sid}`);
    assert.equal(answer.status, 400);
    assert.deepEqual(answer.json(), { code: 1, message: "Session ID unknown" });
  });
});

describe("handshake", () => {
  test("tells what the server is set to", async () => {
    const { answer, data } = await handshake();
    assert.match(answer.headers["content-type"], /^text\/plain\b/i);
    assert.equal(typeof data.sid, "string");
    assert.deepEqual(data, {
      sid: data.sid,
      upgrades: ["websocket"],
      pingInterval: 25_000,
      pingTimeout: 20_000,
      maxPayload: 1_000_000,
    });
  });

  test("sets no cookie", async () => {
    assert.equal((await handshake()).answer.headers["set-cookie"], undefined);
  });
});

describe("a message over max_http_buffer_size", () => {
  for (const mode of Object.keys(modes)) {
    test(`ends its sender alone by ${mode}`, () =>
      withClients(caddy, async (join) => {
        const bystander = await join(mode);
        const sender = await join(mode);
        sender.emit("message", Buffer.alloc(2_000_000));
        await sender.next("(disconnect)");
        const late = await join(mode);
        late.emit("message", "sentinel");
        assert.deepEqual(await bystander.next("message"), ["sentinel"]);
        assert.deepEqual(bystander.disconnects, []);
      }));
  }
});

describe("HTTP/2", () => {
  let session;

  before(() => {
    session = http2.connect(caddy.url, { ca: caddy.ca });
    return once(session, "connect");
  });

  after(() => session?.destroy());

  test("polling carries a conversation", async () => {
    assert.equal(session.alpnProtocol, "h2");
    const opened = await exchange(session, path);
    assert.equal(opened.status, 200);
    const { sid } = JSON.parse(opened.text.slice(1));

    assert.equal((await exchange(session, `${path}&sid=${sid}`, "40")).text, "ok");
    assert.match((await exchange(session, `${path}&sid=${sid}`)).text, /^40\{"sid":"[^"]+"\}$/);

    // A poll that waits and a POST share the one connection.
    const poll = exchange(session, `${path}&sid=${sid}`);
    const start = '42["stream:start",{"streamId":"h2"}]';
    assert.equal((await exchange(session, `${path}&sid=${sid}`, start)).text, "ok");
    assert.deepEqual(JSON.parse((await poll).text.slice(2)), [
      "stream:started",
      { status: "ok", streamId: "h2" },
    ]);

    assert.equal((await exchange(session, `${path}&sid=${sid}`, "1")).text, "ok");
    assert.equal((await exchange(session, `${path}&sid=${sid}`)).status, 400);
  });

  test("a client beside it hears what it says", async () => {
    const listener = await connect(caddy, "websocket");
    try {
      const { sid } = JSON.parse((await exchange(session, path)).text.slice(1));
      await exchange(session, `${path}&sid=${sid}`, "40");
      assert.match((await exchange(session, `${path}&sid=${sid}`)).text, /^40/);
      const two = '42["message","over h2"]\x1e42["message",2]';
      assert.equal((await exchange(session, `${path}&sid=${sid}`, two)).text, "ok");
      assert.deepEqual(await listener.next("message"), ["over h2"]);
      assert.deepEqual(await listener.next("message"), [2]);
    } finally {
      listener.close();
    }
  });

  test("errors are the same", async () => {
    const answer = await exchange(session, "/socket.io/?EIO=4&transport=polling&sid=unknown");
    assert.equal(answer.status, 400);
    assert.deepEqual(JSON.parse(answer.text), { code: 1, message: "Session ID unknown" });
  });
});

async function handshake() {
  const answer = await request(caddy, path);
  assert.equal(answer.status, 200);
  assert.equal(answer.text[0], "0");
  return { answer, data: JSON.parse(answer.text.slice(1)) };
}

// exchange sends a GET, or a POST if there is a body, as one HTTP/2 stream.
function exchange(session, path, body) {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    const stream = session.request({ ":path": path, ":method": method });
    let status;
    let text = "";
    stream.setEncoding("utf8");
    stream.setTimeout(limit, () => stream.destroy(new Error(`no answer to ${method} ${path}`)));
    stream.on("response", (headers) => (status = headers[":status"]));
    stream.on("data", (part) => (text += part));
    stream.on("end", () => resolve({ status, text }));
    stream.on("error", reject);
    stream.end(body);
  });
}
