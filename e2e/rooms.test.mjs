// The example of Excalidraw, served by its own Caddyfile as it is, with clients that do what the collaboration of
// Excalidraw does: the events they get are held word for word, and in their order.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { root, startCaddy } from "./lib/caddy.mjs";
import { connect, happens, modes } from "./lib/client.mjs";

const { subtle } = webcrypto;
const example = path.join(root, "examples/excalidraw/Caddyfile");

let caddy;
let plain; // the same, by plain HTTP too

before(async () => {
  [caddy, plain] = await Promise.all([
    startCaddy({ file: example }),
    startCaddy({ file: example, env: { SITE: "http://localhost, https://localhost" } }),
  ]);
});

after(() => Promise.all([caddy?.stop(), plain?.stop()]));

/** The key of a drawing, which the server never sees. */
const newKey = () => subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt", "decrypt"]);

/** What a browser with a drawing does: all that it gets is in `heard`, in order. */
class Portal {
  constructor(client, room, key) {
    Object.assign(this, { client, room, key, heard: [], elements: [] });
    const { socket } = client;
    for (const event of [
      "init-room",
      "first-in-room",
      "new-user",
      "room-user-change",
      "client-broadcast",
      "user-follow-room-change",
      "broadcast-unfollow",
    ]) {
      socket.on(event, (...args) => this.heard.push([event, ...args]));
    }
    // A newcomer is shown what there is.
    socket.on("new-user", () => this.broadcast({ type: "SCENE_INIT", payload: { elements: this.elements } }));
  }

  get id() {
    return this.client.id;
  }

  async encrypt(data) {
    const iv = webcrypto.getRandomValues(new Uint8Array(12));
    const encrypted = await subtle.encrypt({ name: "AES-GCM", iv }, this.key, new TextEncoder().encode(JSON.stringify(data)));
    return [encrypted, iv];
  }

  async decrypt(encrypted, iv) {
    const data = await subtle.decrypt({ name: "AES-GCM", iv }, this.key, encrypted);
    return JSON.parse(new TextDecoder().decode(data));
  }

  async broadcast(data, { volatile = false, room = this.room } = {}) {
    this.client.emit(volatile ? "server-volatile-broadcast" : "server-broadcast", room, ...(await this.encrypt(data)));
  }

  follow(other, action) {
    this.client.emit("user-follow", { userToFollow: { socketId: other.id, username: "somebody" }, action });
  }

  /** Resolves to the arguments of the next event, which must be the one that is named. */
  async next(event) {
    while (this.heard.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [heard, ...args] = this.heard.shift();
    assert.equal(heard, event);
    return args;
  }

  /** What has come of one event, decrypted. */
  async nextBroadcast() {
    return this.decrypt(...(await this.next("client-broadcast")));
  }
}

async function draw(server, mode, room, key, options) {
  const client = await connect(server, mode, options);
  const portal = new Portal(client, room, key);
  // It has come with the answer to CONNECT, before anybody else listened.
  await client.next("init-room");
  portal.heard = portal.heard.filter(([event]) => event !== "init-room");
  client.emit("join-room", room);
  return portal;
}

for (const mode of Object.keys(modes)) {
  describe(`by ${mode}`, { timeout: 120_000 }, () => {
    test("two draw together, a third one follows, and they go", async () => {
      const key = await newKey();
      const room = `c0ffee${mode}`;
      const a = await draw(caddy, mode, room, key);
      assert.deepEqual(await a.next("first-in-room"), []);
      assert.deepEqual(await a.next("room-user-change"), [[a.id]]);
      a.elements = [{ id: "rectangle" }];

      const b = await draw(caddy, mode, room, key);
      assert.deepEqual(await a.next("new-user"), [b.id]);
      assert.deepEqual(await a.next("room-user-change"), [[a.id, b.id]]);
      assert.deepEqual(await b.next("room-user-change"), [[a.id, b.id]]);
      assert.deepEqual(await b.nextBroadcast(), { type: "SCENE_INIT", payload: { elements: a.elements } });

      await b.broadcast({ type: "SCENE_UPDATE", payload: { elements: [{ id: "ellipse" }] } });
      assert.deepEqual(await a.nextBroadcast(), { type: "SCENE_UPDATE", payload: { elements: [{ id: "ellipse" }] } });
      await a.broadcast({ type: "MOUSE_LOCATION", payload: { x: 1 } }, { volatile: true });
      assert.deepEqual(await b.nextBroadcast(), { type: "MOUSE_LOCATION", payload: { x: 1 } });

      // b sees what a sees: a sends that to a room of its own, in which it is not.
      b.follow(a, "FOLLOW");
      assert.deepEqual(await a.next("user-follow-room-change"), [[b.id]]);
      await a.broadcast({ type: "USER_VISIBLE_SCENE_BOUNDS" }, { volatile: true, room: `follow@${a.id}` });
      assert.deepEqual(await b.nextBroadcast(), { type: "USER_VISIBLE_SCENE_BOUNDS" });
      b.follow(a, "UNFOLLOW");
      assert.deepEqual(await a.next("user-follow-room-change"), [[]]);
      b.follow(a, "FOLLOW");
      assert.deepEqual(await a.next("user-follow-room-change"), [[b.id]]);

      const c = await draw(caddy, mode, room, key);
      for (const who of [a, b]) {
        assert.deepEqual(await who.next("new-user"), [c.id]);
      }
      for (const who of [a, b, c]) {
        assert.deepEqual(await who.next("room-user-change"), [[a.id, b.id, c.id]]);
      }
      // Both show it what there is, a to b and b to a as well.
      assert.equal((await c.nextBroadcast()).type, "SCENE_INIT");
      assert.equal((await c.nextBroadcast()).type, "SCENE_INIT");
      for (const who of [a, b]) {
        assert.equal((await who.nextBroadcast()).type, "SCENE_INIT");
      }

      b.client.close();
      for (const who of [a, c]) {
        assert.deepEqual(await who.next("room-user-change"), [[a.id, c.id]]);
      }
      assert.deepEqual(await a.next("broadcast-unfollow"), []);
      a.client.close();
      assert.deepEqual(await c.next("room-user-change"), [[c.id]]);
      c.client.close();
    });

    test("nobody gets what is for another by the name of a room", async () => {
      const key = await newKey();
      const a = await draw(caddy, mode, `mine-${mode}`, key);
      await a.next("first-in-room");
      await a.next("room-user-change");
      const b = await draw(caddy, mode, a.id, key);
      await b.next("first-in-room");
      await b.next("room-user-change");
      for (const event of ["join-room", "server-broadcast"]) {
        b.client.emit(event, `follow@${a.id}`, new ArrayBuffer(1), new Uint8Array(1));
        const [{ code, message }] = await b.client.next("error");
        assert.equal(code, "invalid_argument");
        assert.equal(message, "argument 1 (room) names a room that is not for this event");
      }
      b.follow(a, "FOLLOW");
      assert.deepEqual(await a.next("user-follow-room-change"), [[b.id]]);
      assert.deepEqual(b.heard, []);
      a.client.close();
      b.client.close();
    });
  });
}

test("pages of any site may connect, and a megabyte of drawing passes", { timeout: 120_000 }, async () => {
  const key = await newKey();
  const options = { extraHeaders: { Origin: "https://excalidraw.example" } };
  const a = await draw(caddy, "polling", "large", key, options);
  const b = await draw(caddy, "websocket", "large", key, options);
  await b.next("room-user-change");
  await b.nextBroadcast(); // what a shows to who is new
  const text = "x".repeat(3_000_000);
  await a.broadcast({ text });
  assert.equal((await b.nextBroadcast()).text, text);
  a.client.close();
  b.client.close();
});

test("the example serves plain HTTP where SITE says so", { timeout: 120_000 }, async () => {
  const server = { url: plain.httpURL, log: () => plain.log() };
  const key = await newKey();
  const a = await draw(server, "websocket", "plain", key);
  await a.next("first-in-room");
  assert.deepEqual(await a.next("room-user-change"), [[a.id]]);
  const gone = happens(a.client.socket, "disconnect");
  a.client.close();
  await gone;
  const answer = await fetch(plain.httpURL);
  assert.equal(answer.status, 200);
});
