import { describe, expect, it, vi } from "vitest";
import { generateKey, type SharedContent } from "../src/index.js";
import { next, noise, until, useBench } from "./helpers.js";

const SESSION = "s";
const text = { contentType: "text" };

describe("contents", () => {
  const bench = useBench();

  async function pair(key?: string) {
    const [ada, bob] = [bench.service(), bench.service()];
    const options = key === undefined ? {} : { key };
    await ada.joinSession(SESSION, "Ada", options);
    await bob.joinSession(SESSION, "Bob", options);
    return { ada, bob };
  }

  for (const key of [undefined, generateKey()]) {
    describe(key === undefined ? "without a key" : "with a key", () => {
      it("arrive with text, with bytes and alone", async () => {
        const { ada, bob } = await pair(key);
        for (const data of ["höchst geheim", "", noise(3000), new Uint8Array(0), undefined]) {
          const heard = next(bob, "content");
          const shared = await ada.shareContent(SESSION, { ...text, metadata: { mood: "good" } }, data);
          const { content, data: got, sessionId } = await heard;
          expect(sessionId).toBe(SESSION);
          expect(content).toEqual(shared);
          expect(content).toMatchObject({ senderId: ada.id, senderName: "Ada", metadata: { mood: "good" } });
          // What Node hands out is a kind of Uint8Array.
          expect(got instanceof Uint8Array ? Uint8Array.from(got) : got).toEqual(data);
        }
      });

      it("stay in order", async () => {
        const { ada, bob } = await pair(key);
        const heard: unknown[] = [];
        bob.on("content", ({ data }) => heard.push(typeof data === "string" ? data.length : data));
        // Long ones take longer to encrypt.
        const lengths = Array.from({ length: 30 }, (_, i) => (i % 3 === 0 ? 100_000 : i));
        await Promise.all(lengths.map((length) => ada.shareContent(SESSION, text, "x".repeat(length))));
        await until(() => heard.length === lengths.length, "all are heard");
        expect(heard).toEqual(lengths);
      });

      it("arrive once when they are sent again, or replayed", async () => {
        bench.server.history = 10;
        const { ada, bob } = await pair(key);
        const heard: unknown[] = [];
        for (const one of [ada, bob]) one.on("content", ({ data }) => heard.push(data));
        await ada.shareContent(SESSION, text, "first");
        for (const one of [ada, bob]) {
          const rejoined = next(one, "session-rejoined");
          bench.server.cut(one.id);
          await rejoined;
        }
        await ada.shareContent(SESSION, text, "last");
        await until(() => heard.includes("last"), "the last is heard");
        expect(heard).toEqual(["first", "last"]);
      });

      it("go out in batches, in order, with the token", async () => {
        bench.server.tokens = true;
        const { ada, bob } = await pair(key);
        const heard: unknown[] = [];
        bob.on("content", ({ data }) => heard.push(data));
        const words = Array.from({ length: 250 }, (_, i) => String(i));
        const shared = await ada.batch(
          SESSION,
          words.map((data) => ({ content: text, data })),
        );
        await until(() => heard.length === words.length, "all are heard");
        expect(heard).toEqual(words);
        expect(new Set(shared.map(({ contentId }: SharedContent) => contentId)).size).toBe(250);
        const sizes = bench.server.events("batch").map((entries) => entries.length);
        expect(sizes).toEqual(key === undefined ? [100, 100, 50] : new Array(25).fill(10));
        for (const word of ["a", "b", "c"]) ada.sendBatched(SESSION, text, word);
        await until(() => heard.length === 253, "the batch is heard");
        expect(bench.server.events("batch").at(-1)).toHaveLength(3);
      });

      it("are throttled to the first, and the latest of each interval", async () => {
        const { ada, bob } = await pair(key);
        const heard: unknown[] = [];
        bob.on("content", ({ content, data }) => heard.push(`${content.contentType} ${String(data)}`));
        for (let i = 0; i < 100; i++) ada.sendThrottled(SESSION, { contentType: "position" }, String(i), 20);
        ada.sendThrottled(SESSION, { contentType: "other" }, "1", 20);
        await until(() => heard.length === 3, "three are heard");
        expect(heard.toSorted()).toEqual(["other 1", "position 0", "position 99"]);
        expect(bench.server.events("content").every(({ volatile }) => volatile === true)).toBe(true);
      });
    });
  }

  it("are not sent when they are too large for the server", async () => {
    const { ada, bob } = await pair();
    await expect(ada.shareContent(SESSION, text, "x".repeat(1e6))).rejects.toMatchObject({
      code: "too_large",
      name: "ContentError",
    });
    await expect(ada.batch(SESSION, [{ content: text, data: noise(1e6) }])).rejects.toMatchObject({
      code: "too_large",
    });
    let bytes = 0;
    bob.on("content", ({ data }) => (bytes += data?.length ?? 0));
    const lost = vi.fn();
    ada.on("disconnect", lost);
    await ada.batch(
      SESSION,
      Array.from({ length: 5 }, () => ({ content: text, data: noise(400_000) })),
    );
    await until(() => bytes === 2_000_000, "all has come");
    expect(bench.server.events("batch").map((entries) => entries.length)).toEqual([2, 2, 1]);
    expect(lost).not.toHaveBeenCalled();
  });

  it("tell why they were refused", async () => {
    const { ada } = await pair();
    bench.server.rule = ({ event, payload }) =>
      event === "content" && payload.content?.contentType === "bad" ? "invalid_content" : undefined;
    const told = next(ada, "server-error");
    await expect(ada.shareContent(SESSION, { contentType: "bad" })).rejects.toMatchObject({ code: "invalid_content" });
    expect(await told).toMatchObject({ code: "invalid_content" });
    const batch = [{ content: text }, { content: { contentType: "bad" } }];
    await expect(ada.batch(SESSION, batch)).rejects.toMatchObject({ code: "invalid_content" });
    const failed = next(ada, "send-error");
    ada.sendThrottled(SESSION, { contentType: "bad" });
    expect((await failed).error).toMatchObject({ code: "invalid_content" });
    bench.server.rule = ({ event }) => (event === "batch" ? undefined : "invalid_content");
    const alsoFailed = next(ada, "send-error");
    ada.sendBatched(SESSION, text);
    expect((await alsoFailed).error).toMatchObject({ code: "invalid_content" });
    bench.server.rule = ({ event }) => (event === "content" ? "ignore" : undefined);
    const patient = bench.service({ ackTimeout: 50 });
    await patient.joinSession(SESSION, "Carol");
    await expect(patient.shareContent(SESSION, text)).rejects.toMatchObject({
      code: "timeout",
      name: "ConnectionError",
    });
  });

  it("show the server nothing of themselves in a session with a key", async () => {
    const { ada, bob } = await pair(generateKey());
    const heard = next(bob, "content");
    await ada.shareContent(SESSION, { contentType: "confession", metadata: { to: "Carol" } }, "it was me");
    await heard;
    const [{ content, data }] = bench.server.events("content");
    expect(Object.keys(content).toSorted()).toEqual(["contentId", "encryption"]);
    const wire = Buffer.from(data).toString("latin1") + JSON.stringify(content);
    for (const secret of ["it was me", "confession", "Carol", "Ada"]) expect(wire).not.toContain(secret);
  });

  it("are not taken from those who have another key or none, nor from another session", async () => {
    const [first, second] = [generateKey(), generateKey()];
    const [ada, eve, mallory] = [bench.service(), bench.service(), bench.service()];
    const heard: unknown[] = [];
    // What comes for one session is dealt with in order, but two do not wait for each other.
    const [codes, elsewhere]: [string[], string[]] = [[], []];
    ada.on("content", ({ data }) => heard.push(data));
    ada.on("content-error", ({ sessionId, error }) => (sessionId === SESSION ? codes : elsewhere).push(error.code));
    await ada.joinSession(SESSION, "Ada", { key: first });
    await ada.joinSession("other", "Ada", { key: first });
    await eve.joinSession(SESSION, "Eve", { key: second });
    await mallory.joinSession(SESSION, "Mallory");
    await eve.shareContent(SESSION, text, "with another key");
    await mallory.shareContent(SESSION, text, "without a key");
    await ada.shareContent(SESSION, text, "real");
    const real = bench.server.events("content").at(-1);
    const send = (sessionId: string, content: unknown, data: unknown) =>
      bench.server.emit(ada.id!, "content", { sessionId, content, data });
    send("other", real.content, real.data);
    send(SESSION, { ...real.content, contentId: "renamed" }, real.data);
    send(SESSION, { ...real.content, contentId: "cut" }, real.data.subarray(0, 20));
    send(SESSION, { ...real.content, contentId: "empty" }, Buffer.alloc(0));
    send(SESSION, { ...real.content, contentId: "none" }, undefined);
    await until(() => codes.length + elsewhere.length === 7, "all are refused");
    expect(codes).toEqual([
      "decrypt_failed",
      "not_encrypted",
      "decrypt_failed",
      "decrypt_failed",
      "decrypt_failed",
      "invalid",
    ]);
    expect(elsewhere).toEqual(["decrypt_failed"]);
    const without = next(mallory, "content-error");
    await ada.shareContent(SESSION, text, "real");
    expect((await without).error).toMatchObject({ code: "no_key", name: "KeyError" });
    expect(heard).toEqual([]);
  });
});
