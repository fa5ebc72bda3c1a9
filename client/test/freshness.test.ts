import { describe, expect, it } from "vitest";
import { generateKey, importKey } from "../src/index.js";
import { utf8 } from "../src/bytes.js";
import { seal } from "../src/crypto.js";
import { Marks, MemoryStorage, Numbering, type Stamp } from "../src/freshness.js";
import { next, noise, until, useBench } from "./helpers.js";

const SESSION = "s";
const text = { contentType: "text" };

describe("what a server shows once more", () => {
  const bench = useBench();

  it("is not shown again, however much came in between", async () => {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const heard: unknown[] = [];
    bob.on("content", ({ data }) => heard.push(data));
    await ada.shareContent(SESSION, text, "pay 100");
    const { token: _, ...old } = bench.server.events("content")[0];
    for (let i = 0; i < 30; i++) {
      await ada.batch(SESSION, Array.from({ length: 70 }, (_, j) => ({ content: text, data: `${i} ${j}` })));
    }
    await until(() => heard.length === 2101, "all is heard");
    bench.server.emit(bob.id!, "content", old);
    await ada.shareContent(SESSION, text, "the last");
    await until(() => heard.includes("the last"), "the last is heard");
    expect(heard.filter((data) => data === "pay 100")).toHaveLength(1);
    expect(heard).toHaveLength(2102);
  });

  it("is not taken for new when the page was loaded again, nor after the session was left", async () => {
    bench.server.history = 100;
    const key = generateKey();
    const storage = new MemoryStorage();
    const [ada, bob] = [bench.service(), bench.service({ storage })];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const first = next(bob, "content");
    await ada.shareContent(SESSION, text, "seen");
    expect(await first).toMatchObject({ data: "seen", freshness: "new", clientId: ada.id });
    await bob.shareContent(SESSION, text, "own");
    const known = ["seen", "own"];
    for (const [i, go] of [() => bob.leaveSession(SESSION), () => Promise.resolve(bob.close())].entries()) {
      await go();
      await ada.shareContent(SESSION, text, `missed ${i}`);
      const again = bob.connected ? bob : bench.service({ storage });
      const heard: string[] = [];
      again.on("content", ({ data, freshness }) => heard.push(`${String(data)}: ${freshness}`));
      await again.joinSession(SESSION, "Bob", { key });
      await ada.shareContent(SESSION, text, `live ${i}`);
      await until(() => heard.length === known.length + 2, "all is heard");
      expect(heard).toEqual([...known.map((label) => `${label}: again`), `missed ${i}: new`, `live ${i}: new`]);
      known.push(`missed ${i}`, `live ${i}`);
      again.off("content");
    }
    // A tab that was not there has seen none of it.
    const carol = bench.service();
    const heard: string[] = [];
    carol.on("content", ({ freshness }) => heard.push(freshness));
    await carol.joinSession(SESSION, "Carol", { key });
    await until(() => heard.length === 6, "the history is heard");
    expect(new Set(heard)).toEqual(new Set(["new"]));
  });

  it("is not done again where it says something about a file", async () => {
    const key = generateKey();
    const storage = new MemoryStorage();
    const [ada, bob] = [bench.service(), bench.service({ storage })];
    await ada.joinSession(SESSION, "Ada", { key });
    await ada.shareFile(SESSION, new Blob([noise(10)]));
    const arrived = next(bob, "file");
    await bob.joinSession(SESSION, "Bob", { key });
    await arrived;
    const signals = bench.server.events("chunk").filter(({ chunk }) => chunk.contentId.startsWith("signal-"));
    expect(signals.length).toBeGreaterThan(0);
    bob.close();
    ada.close();
    const again = bench.service({ storage });
    const offered: string[] = [];
    again.on("file-offered", ({ file }) => offered.push(file.contentId));
    await again.joinSession(SESSION, "Bob", { key });
    const carol = bench.service();
    await carol.joinSession(SESSION, "Carol", { key });
    for (const signal of signals) bench.server.emit(again.id!, "chunk", signal);
    const last = next(again, "content");
    await carol.shareContent(SESSION, text, "the last");
    await last;
    expect(offered).toEqual([]);
  });

  it("is read when it comes from a client of an older version, but never as new", async () => {
    const key = generateKey();
    const bob = bench.service();
    await bob.joinSession(SESSION, "Bob", { key });
    const content = { contentId: "old", contentType: "text", senderId: "x", senderName: "Old Ada", timestamp: 0 };
    const head = utf8(JSON.stringify({ content, kind: "text" }));
    const message = new Uint8Array([0, 0, 0, head.byteLength, ...head, ...utf8("hello")]);
    const { iv, encryptedData } = await seal(await importKey(key), message, ["content", SESSION, "old"]);
    const envelope = {
      sessionId: SESSION,
      content: { contentId: "old", encryption: "aes-256-gcm" },
      data: Buffer.concat([iv, encryptedData]),
    };
    const heard = next(bob, "content");
    bench.server.emit(bob.id!, "content", envelope);
    expect(await heard).toMatchObject({ data: "hello", freshness: "unknown", content });
    // One that claims to be of this version has to say which one it is.
    const dropped = next(bob, "content-error");
    const claimed = utf8(JSON.stringify({ v: 2, content, kind: "text" }));
    const other = await seal(
      await importKey(key),
      new Uint8Array([0, 0, 0, claimed.byteLength, ...claimed]),
      ["content", SESSION, "other"],
    );
    bench.server.emit(bob.id!, "content", {
      sessionId: SESSION,
      content: { contentId: "other", encryption: "aes-256-gcm" },
      data: Buffer.concat([other.iv, other.encryptedData]),
    });
    expect((await dropped).error).toMatchObject({ code: "invalid" });
  });
});

describe("the marks of what has come", () => {
  const stamps = (count: number): Stamp[] => Array.from({ length: count }, () => new Numbering().next());

  it("hold for each stream by itself", () => {
    const marks = new Marks(new MemoryStorage(), SESSION);
    const [a, b] = [new Numbering(), new Numbering()];
    const [first, second, third] = [a.next(), a.next(), a.next()];
    expect(marks.judge(first)).toBe("new");
    expect(marks.judge(third)).toBe("new");
    expect(marks.judge(second)).toBe("repeated");
    expect(marks.judge(third)).toBe("repeated");
    expect(marks.judge(b.next())).toBe("new");
  });

  it("never take for new what they have forgotten", () => {
    const storage = new MemoryStorage();
    const marks = new Marks(storage, SESSION);
    const old = new Numbering();
    const [first, second] = [old.next(), old.next()];
    expect(marks.judge(first)).toBe("new");
    for (const stamp of stamps(300)) marks.judge(stamp);
    for (const judging of [marks, new Marks(storage, SESSION)]) {
      for (const stamp of [first, second]) expect(judging.judge(stamp)).toBe("again");
    }
    expect(storage.getItem("caddy-socketio/marks/s")!.length).toBeLessThan(30_000);
  });

  it("do without a storage that does not work, or holds something else", () => {
    const full = {
      getItem: () => null,
      setItem: () => {
        throw new Error("full");
      },
    };
    for (const held of ["", "{", "1", "{}", '{"marks":[]}', '{"marks":{"a":1,"b":{"opened":-1,"number":"x"}}}']) {
      const marks = new Marks({ getItem: () => held, setItem: () => undefined }, SESSION);
      for (const stamp of stamps(3)) expect(marks.judge(stamp)).toBe("new");
    }
    const marks = new Marks(full, SESSION);
    const [stamp] = stamps(1);
    expect([marks.judge(stamp!), marks.judge(stamp!)]).toEqual(["new", "repeated"]);
  });
});
