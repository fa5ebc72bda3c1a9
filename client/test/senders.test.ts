import { io, type Socket } from "socket.io-client";
import { afterEach, describe, expect, it } from "vitest";
import { CHUNK_SIZE, generateId, generateKey, importKey, type SharedContent, sha256 } from "../src/index.js";
import { utf8 } from "../src/bytes.js";
import { seal } from "../src/crypto.js";
import { sealContent } from "../src/envelope.js";
import { chunkContext, describeFile, readFileInfo } from "../src/file.js";
import { Numbering } from "../src/freshness.js";
import { sealSignal, type Signal } from "../src/signal.js";
import { next, noise, until, useBench } from "./helpers.js";

const SESSION = "s";
const text = { contentType: "text" };

describe("who has the key, and speaks in the name of another", () => {
  const bench = useBench();
  const sockets: Socket[] = [];
  afterEach(() => void sockets.splice(0).forEach((socket) => socket.disconnect()));

  /** Stranger is a client in the session that sends whatever it likes. */
  class Stranger {
    readonly numbers = new Numbering();

    constructor(
      readonly socket: Socket,
      readonly key: CryptoKey,
    ) {}

    get id(): string {
      return this.socket.id!;
    }

    async content(content: SharedContent, data?: string): Promise<void> {
      const envelope = await sealContent(this.key, SESSION, content, data, this.numbers.next());
      await this.socket.emitWithAck("content", { sessionId: SESSION, ...envelope });
    }

    async signal(from: string, signal: Signal): Promise<void> {
      const chunk = await sealSignal(this.key, SESSION, from, this.numbers.next(), signal);
      await this.socket.emitWithAck("chunk", { sessionId: SESSION, chunk });
    }

    /** oldSignal sends a signal as clients did that did not say who they are. */
    async oldSignal(signal: object): Promise<void> {
      const contentId = `signal-${generateId()}`;
      const sealed = await seal(this.key, utf8(JSON.stringify(signal)), ["signal", SESSION, contentId]);
      const chunk = { contentId, chunkIndex: 0, totalChunks: 1, ...sealed };
      await this.socket.emitWithAck("chunk", { sessionId: SESSION, chunk });
    }
  }

  async function three() {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const socket = io(bench.server.url, { forceNew: true, transports: ["websocket"] });
    sockets.push(socket);
    await socket.emitWithAck("join", { sessionId: SESSION, clientName: "Eve" });
    return { ada, bob, eve: new Stranger(socket, await importKey(key)) };
  }

  /** heard makes sure that Bob has dealt with all that was sent so far. */
  async function heard({ ada, bob }: Awaited<ReturnType<typeof three>>): Promise<void> {
    const last = next(bob, "content", ({ data }) => data === "the last");
    await ada.shareContent(SESSION, text, "the last");
    await last;
  }

  for (const clientIds of [true, false]) {
    it(`cannot cancel a file of theirs${clientIds ? "" : ", also when the server does not say who sends"}`, async () => {
      bench.server.clientIds = clientIds;
      const all = await three();
      const { ada, bob, eve } = all;
      const file = new Blob([noise(30 * CHUNK_SIZE)]);
      const errors: unknown[] = [];
      bob.on("file-error", ({ error }) => errors.push(error.code));
      const offered = next(bob, "file-offered");
      const arrived = next(bob, "file");
      // Nothing comes of it before Eve has spoken.
      let held = true;
      bench.server.rule = ({ event, payload }) =>
        event === "chunk" && payload.chunk.totalChunks === 30 && held ? "throttled" : undefined;
      const sending = ada.shareFile(SESSION, file);
      const { contentId } = (await offered).file;
      await eve.signal(eve.id, { type: "cancel", contentId });
      if (clientIds) {
        await eve.signal(ada.id!, { type: "cancel", contentId });
        await eve.oldSignal({ type: "cancel", contentId });
      }
      await heard(all);
      held = false;
      await sending;
      expect(await sha256((await arrived).blob)).toBe(await sha256(file));
      expect(errors).toEqual([]);
    });
  }

  it("cannot say that it has arrived", async () => {
    const { ada, bob, eve } = await three();
    const delivered: string[] = [];
    ada.on("file-delivered", ({ clientId }) => delivered.push(clientId));
    bench.server.rule = ({ event, clientId }) => (event === "chunk" && clientId === bob.id ? "ignore" : undefined);
    const { contentId } = await ada.shareFile(SESSION, new Blob([noise(10)]));
    await eve.signal(bob.id!, { type: "received", contentId });
    await eve.oldSignal({ type: "received", contentId, from: bob.id });
    await eve.signal("nobody", { type: "received", contentId });
    // What it says of itself is its own affair.
    await eve.signal(eve.id, { type: "received", contentId });
    await until(() => delivered.length > 0, "one is told of");
    expect(delivered).toEqual([eve.id]);
  });

  it("cannot put parts of its own into a file of theirs", async () => {
    const all = await three();
    const { ada, bob, eve } = all;
    const file = new Blob([noise(2 * CHUNK_SIZE)]);
    let held = true;
    bench.server.rule = ({ event, payload }) =>
      event === "chunk" && payload.chunk.totalChunks === 2 && held ? "throttled" : undefined;
    const offered = next(bob, "file-offered");
    const arrived = next(bob, "file");
    const sending = ada.shareFile(SESSION, file);
    const { file: info } = await offered;
    const forged = await seal(eve.key, new Uint8Array(CHUNK_SIZE), chunkContext(SESSION, info, 0));
    const chunk = { contentId: info.contentId, chunkIndex: 0, totalChunks: 2, ...forged };
    bench.server.rule = ({ event, clientId }) => (event === "chunk" && clientId === ada.id && held ? "throttled" : undefined);
    await eve.socket.emitWithAck("chunk", { sessionId: SESSION, chunk });
    await heard(all);
    held = false;
    await sending;
    expect(await sha256((await arrived).blob)).toBe(await sha256(file));
  });

  it("cannot share in their name", async () => {
    const all = await three();
    const { ada, bob, eve } = all;
    const codes: string[] = [];
    const names: string[] = [];
    bob.on("content-error", ({ error }) => codes.push(error.code));
    bob.on("content", ({ content, clientId }) => names.push(`${content.senderName} ${clientId === eve.id}`));
    bob.on("file-offered", ({ file }) => names.push(file.senderName));
    const content = { contentType: "text", timestamp: 0, senderName: "Ada", contentId: "1" };
    await eve.content({ ...content, senderId: ada.id! }, "pay Eve");
    const file = describeFile(new Blob(["x"]), { contentId: "2", senderId: ada.id!, senderName: "Ada" }, "bill");
    await eve.content(file);
    // Under its own id it may call itself as it likes; the server says who it is.
    await eve.content({ ...content, senderId: eve.id, contentId: "3" }, "pay Eve");
    await heard(all);
    expect(codes).toEqual(["wrong_sender", "wrong_sender"]);
    expect(names).toEqual(["Ada true", "Ada false"]);
  });

  it("cannot take over a file while its sender is there, but who comes back can go on with it", async () => {
    const all = await three();
    const { ada, bob, eve } = all;
    // Nothing comes of it.
    bench.server.rule = ({ event, payload }) =>
      event === "chunk" && payload.chunk.totalChunks === 3 ? "ignore" : undefined;
    const offered = next(bob, "file-offered");
    const file = new Blob([noise(3 * CHUNK_SIZE)]);
    const sending = ada.shareFile(SESSION, file);
    const { file: info } = await offered;
    const errors: string[] = [];
    bob.on("file-error", ({ error }) => errors.push(error.code));
    const content = describeFile(file, { ...info, senderId: eve.id }, info.name);
    expect(readFileInfo(content)?.contentId).toBe(info.contentId);
    await eve.signal(eve.id, { type: "offer", content });
    await eve.signal(eve.id, { type: "cancel", contentId: info.contentId });
    await heard(all);
    expect(errors).toEqual([]);
    // Without a token Ada comes back as somebody new.
    const before = ada.id;
    bench.server.rule = () => undefined;
    const arrived = next(bob, "file");
    bench.server.cut(ada.id);
    await next(ada, "session-rejoined");
    expect(ada.id).not.toBe(before);
    await sending;
    expect(await sha256((await arrived).blob)).toBe(await sha256(file));
  });
});

describe("an id of a content", () => {
  const bench = useBench();

  it("cannot be one of what clients tell each other about files", async () => {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const refused = { code: "invalid_id", name: "ContentError" };
    for (const contentId of ["signal-lamp.png", "signal-", "", "n".repeat(257)]) {
      await expect(ada.shareFile(SESSION, new Blob(["x"]), { contentId })).rejects.toMatchObject(refused);
      await expect(ada.shareContent(SESSION, { ...text, contentId })).rejects.toMatchObject(refused);
      await expect(ada.batch(SESSION, [{ content: { ...text, contentId } }])).rejects.toMatchObject(refused);
      const failed = next(ada, "send-error");
      ada.sendThrottled(SESSION, { ...text, contentId }, undefined, 1);
      expect((await failed).error).toMatchObject(refused);
    }
    expect(bench.server.sent.map(({ event }) => event)).toEqual(["join", "join"]);
    // Nor is it taken from others.
    const dropped = next(bob, "content-error");
    const content = { contentId: "signal-1", contentType: "text", senderId: ada.id!, senderName: "Ada", timestamp: 0 };
    const envelope = await sealContent(await importKey(key), SESSION, content, "x", new Numbering().next());
    bench.server.emit(bob.id!, "content", { sessionId: SESSION, ...envelope });
    expect(await dropped).toMatchObject({ contentId: "signal-1", error: refused });
    for (const contentId of ["lamp-signal-", "n".repeat(256)]) {
      const heard = next(bob, "content");
      await ada.shareContent(SESSION, { ...text, contentId });
      expect((await heard).content.contentId).toBe(contentId);
    }
  });
});
