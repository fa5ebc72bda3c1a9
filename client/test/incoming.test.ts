import { describe, expect, it } from "vitest";
import { CHUNK_SIZE, generateKey, importKey, type FileInfo, type SharedContent } from "../src/index.js";
import { seal } from "../src/crypto.js";
import { chunkContext, describeFile, LARGEST_FILE, MOST_CHUNKS, readFileInfo } from "../src/file.js";
import { IncomingFiles, type IncomingLink } from "../src/incoming.js";
import { gaps, openSignal, sealSignal, type Signal } from "../src/signal.js";
import { Numbering } from "../src/freshness.js";
import { Clock } from "./clock.js";
import { next, noise, until, useBench } from "./helpers.js";

const SESSION = "s";

describe("files that do not come", () => {
  const bench = useBench();

  it("leave room for others when they are held, and can all be had", async () => {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service({ autoFetchSize: 1000 })];
    await ada.joinSession(SESSION, "Ada", { key });
    const old = [];
    for (let i = 0; i < 70; i++) old.push(await ada.shareFile(SESSION, new File([noise(2000)], `old ${i}`)));
    const held = new Set<string>();
    const errors: unknown[] = [];
    const arrived = new Set<string>();
    bob.on("file-held", ({ file }) => held.add(file.name));
    bob.on("file-error", ({ error }) => errors.push(error));
    bob.on("file", ({ file }) => arrived.add(file.name));
    await bob.joinSession(SESSION, "Bob", { key });
    await until(() => held.size === 70, "all are held");
    await ada.shareFile(SESSION, new File([noise(50)], "new"));
    await until(() => arrived.has("new"), "the new one is here");
    for (const { contentId } of old) bob.fetchFile(SESSION, contentId);
    await until(() => arrived.size === 71, "all are here");
    expect(errors).toEqual([]);
  });

  it("leave room for others when their senders have gone", async () => {
    const key = generateKey();
    const bob = bench.service();
    await bob.joinSession(SESSION, "Bob", { key });
    // Of the files of three who go nothing comes.
    bench.server.rule = ({ event, payload }) =>
      event === "chunk" && payload.chunk.totalChunks === 2 ? "ignore" : undefined;
    const offered = new Set<string>();
    const codes: string[] = [];
    bob.on("file-offered", ({ file }) => offered.add(file.name));
    bob.on("file-error", ({ error }) => codes.push(error.code));
    for (let i = 0; i < 3; i++) {
      const one = bench.service();
      await one.joinSession(SESSION, `Sender ${i}`, { key });
      for (let j = 0; j < 30; j++) {
        one.shareFile(SESSION, new File([noise(CHUNK_SIZE + 1)], `${i} ${j}`)).catch(() => undefined);
      }
      await until(() => offered.size === 30 * (i + 1), "they are offered");
      one.close();
    }
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada", { key });
    const arrived = next(bob, "file", ({ file }) => file.name === "new");
    await ada.shareFile(SESSION, new File([noise(50)], "new"));
    await arrived;
    await until(() => codes.length === 90, "all others are given up");
    expect(new Set(codes)).toEqual(new Set(["unavailable"]));
  });

  it("come when they are offered as they are, after somebody has announced something else by their name", async () => {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service({ maxFileSize: 1000 })];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const codes: string[] = [];
    bob.on("file-error", ({ error }) => codes.push(error.code));
    await ada.shareFile(SESSION, new Blob([noise(1001)]), { contentId: "1" });
    await until(() => codes.length === 1, "it is refused");
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, new Blob([noise(1000)]), { contentId: "1" });
    await arrived;
    expect(codes).toEqual(["too_large"]);
  });

  it("can be shared again once they were cancelled", async () => {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const file = new Blob([noise(30 * CHUNK_SIZE)]);
    const controller = new AbortController();
    const cancelled = next(bob, "file-error");
    const sending = ada.shareFile(SESSION, file, {
      contentId: "1",
      signal: controller.signal,
      onProgress: ({ bytes }) => bytes > 0 && controller.abort(),
    });
    await expect(sending).rejects.toMatchObject({ code: "aborted" });
    expect((await cancelled).error.code).toBe("cancelled");
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, file, { contentId: "1" });
    expect((await arrived).blob.size).toBe(file.size);
  });

  it("are given up before they were announced, without a connection, at once", async () => {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    ada.disconnect();
    const controller = new AbortController();
    const sending = ada.shareFile(SESSION, new Blob([noise(10)]), { signal: controller.signal });
    const sent = bench.server.events("content").length;
    controller.abort();
    await expect(sending).rejects.toMatchObject({ code: "aborted", name: "TransferError" });
    ada.connect();
    const heard = next(bob, "content");
    await ada.shareContent(SESSION, { contentType: "text" }, "after");
    await heard;
    expect(bench.server.events("content").length).toBe(sent + 1);
  });
});

describe("the files that come", () => {
  /** receiver is the receiving half alone, with a clock of its own. */
  async function receiver(options: Partial<IncomingLink> = {}) {
    const key = await importKey(generateKey());
    const told: string[] = [];
    const signals: Signal[] = [];
    const present = new Set(["ada", "bob", "carol"]);
    const link: IncomingLink = {
      sessionId: SESSION,
      key,
      maxFileSize: 100 * CHUNK_SIZE,
      autoFetchSize: 100 * CHUNK_SIZE,
      joined: () => true,
      present: (id) => present.has(id),
      signal: (signal) => signals.push(signal),
      offered: ({ name }) => told.push(`offered ${name}`),
      held: ({ name }) => told.push(`held ${name}`),
      progress: () => undefined,
      complete: ({ name }) => told.push(`complete ${name}`),
      failed: (contentId, file, { code }) => told.push(`${code} ${file?.name ?? contentId}`),
      ...options,
    };
    const files = new IncomingFiles(link);
    const announce = (name: string, senderId: string, chunks = 2): FileInfo => {
      const sender = { contentId: name, senderId, senderName: senderId };
      const content = describeFile({ size: chunks * CHUNK_SIZE, type: "" } as Blob, sender, name);
      files.offer(content, "new", false);
      return readFileInfo(content)!;
    };
    const chunk = async (info: FileInfo, chunkIndex: number, from: string | undefined = info.senderId) => {
      const sealed = await seal(key, new Uint8Array(CHUNK_SIZE), chunkContext(SESSION, info, chunkIndex));
      await files.chunk({ contentId: info.contentId, chunkIndex, totalChunks: info.totalChunks, ...sealed }, from);
    };
    return { files, told, signals, present, announce, chunk };
  }

  it("move so many at a time, half of them from one sender, and the others come by themselves", async () => {
    const { told, announce, chunk } = await receiver();
    const ada = Array.from({ length: 40 }, (_, i) => announce(`a${i}`, "ada"));
    const bob = Array.from({ length: 40 }, (_, i) => announce(`b${i}`, "bob"));
    for (const file of [ada[0]!, ada[35]!, bob[0]!, bob[35]!]) {
      await chunk(file, 0);
      await chunk(file, 1);
    }
    const complete = () => told.filter((event) => event.startsWith("complete"));
    expect(complete()).toEqual(["complete a0", "complete b0"]);
    // There is a place again for one of each.
    for (const file of [ada[32]!, ada[33]!]) {
      await chunk(file, 0);
      await chunk(file, 1);
    }
    expect(complete()).toEqual(["complete a0", "complete b0", "complete a32", "complete a33"]);
    expect(told.filter((event) => !/^(offered|complete)/.test(event))).toEqual([]);
  });

  it("rest in such a number that the oldest of who has the most is given up", async () => {
    const { files, told, announce } = await receiver({ autoFetchSize: 0 });
    announce("b0", "bob", 1);
    for (let i = 0; i < 350; i++) announce(`a${i}`, "ada", 1);
    const givenUp = told.filter((event) => event.startsWith("too_many"));
    // 32 of Ada's move, and 256 of hers rest.
    expect(givenUp).toHaveLength(350 - 32 - 256);
    expect(givenUp[0]).toBe("too_many a32");
    expect(files.fetch("a32")).toBe(false);
    expect(files.fetch("b0")).toBe(true);
    // It may be offered again.
    announce("a32", "ada", 1);
    expect(files.fetch("a32")).toBe(true);
  });

  it("keep no more than the largest of them while they rest", async () => {
    const { files, told, announce, chunk } = await receiver({ maxFileSize: 4 * CHUNK_SIZE });
    const clock = new Clock();
    clock.start();
    try {
      for (const name of ["1", "2", "3", "4", "5"]) await chunk(announce(name, "ada"), 0);
      files.left("ada");
      await clock.pass(2000);
    } finally {
      clock.stop();
    }
    expect(told.filter((event) => event.startsWith("too_many"))).toEqual(["too_many 1"]);
    expect(files.fetch("1")).toBe(false);
    expect(files.fetch("2")).toBe(true);
  });

  it("ask no more often than once a second, however often they are offered", async () => {
    const { files, signals, announce } = await receiver();
    const clock = new Clock();
    clock.start();
    try {
      const info = announce("1", "ada");
      const content = describeFile({ size: info.size, type: "" } as Blob, info, "1");
      for (let i = 0; i < 100; i++) {
        files.offer(content, "new", true);
        await clock.pass(20);
      }
    } finally {
      clock.stop();
    }
    expect(signals.length).toBeGreaterThan(0);
    expect(signals.length).toBeLessThanOrEqual(3);
  });

  it("wake when their sender offers them again, and by nobody else while that one is there", async () => {
    const { files, signals, present, announce } = await receiver();
    const clock = new Clock();
    clock.start();
    try {
      const info = announce("1", "ada");
      files.left("ada");
      present.delete("ada");
      await clock.pass(5000);
      const content = describeFile({ size: info.size, type: "" } as Blob, info, "1");
      expect(signals).toEqual([]);
      files.offer({ ...content, senderId: "ada again" }, "new", true);
      expect(signals).toHaveLength(1);
      present.add("ada again");
      files.cancel("1", "bob");
      files.offer({ ...content, senderId: "bob" }, "new", true);
      files.cancel("1", "bob");
      expect(files.fetch("1")).toBe(true);
      files.cancel("1", "ada again");
      expect(files.fetch("1")).toBe(false);
    } finally {
      clock.stop();
    }
  });
});

describe("the sizes that a stranger names", () => {
  const announcement = (size: number, chunkSize: number, totalChunks = Math.ceil(size / chunkSize)): SharedContent => ({
    contentId: "1",
    senderId: "eve",
    senderName: "Eve",
    contentType: "file",
    timestamp: 0,
    isChunked: true,
    totalSize: size,
    metadata: { name: "big", chunkSize, totalChunks },
  });

  it("are refused where they are more work than a file", () => {
    const none: [number, number, number?][] = [
      [1024 ** 3, 1],
      [2 ** 30, 4095],
      [10, 10],
      [MOST_CHUNKS * 4096 + 1, 4096],
      [1, 2 ** 21],
      [100_000, 65_536, 1],
      [100_000, 65_536, 3],
      [1.5, 65_536],
      [-1, 65_536],
      [NaN, 65_536],
      [2 ** 60, 2 ** 20],
    ];
    for (const sizes of none) expect(readFileInfo(announcement(...sizes)), sizes.join()).toBeUndefined();
    const some: [number, number][] = [
      [0, 65_536],
      [1, 4096],
      [1, 2 ** 20],
      [MOST_CHUNKS * 4096, 4096],
      [1024 ** 3, 65_536],
    ];
    for (const sizes of some) expect(readFileInfo(announcement(...sizes)), sizes.join()).toBeDefined();
  });

  it("are within these bounds for whatever can be sent", () => {
    const sender = { contentId: "1", senderId: "a", senderName: "A" };
    for (const size of [0, 1, CHUNK_SIZE, 4 * 1024 ** 3, 4 * 1024 ** 3 + 1, LARGEST_FILE - 1, LARGEST_FILE]) {
      const info = readFileInfo(describeFile({ size, type: "" } as Blob, sender, "x"));
      expect(info?.size).toBe(size);
      expect(info!.chunkSize).toBeLessThanOrEqual(512 * 1024);
      if (size <= 4 * 1024 ** 3) expect(info!.chunkSize).toBe(CHUNK_SIZE);
    }
  });

  it("do not block a page, whatever is announced", async () => {
    const key = await importKey(generateKey());
    let asked = 0;
    const files = new IncomingFiles({
      sessionId: SESSION,
      key,
      maxFileSize: Number.MAX_SAFE_INTEGER,
      autoFetchSize: Number.MAX_SAFE_INTEGER,
      joined: () => true,
      present: () => true,
      signal: () => asked++,
      offered: () => undefined,
      held: () => undefined,
      progress: () => undefined,
      complete: () => undefined,
      failed: () => undefined,
    });
    const began = performance.now();
    for (let i = 0; i < 200; i++) {
      const size = [1024 ** 3, MOST_CHUNKS * 4096][i % 2]!;
      files.offer({ ...announcement(size, [1, 4096][i % 2]!), contentId: String(i) }, "new", true);
      files.fetch(String(i));
    }
    // It was 13 s for one of them.
    expect(performance.now() - began).toBeLessThan(5000);
    expect(asked).toBe(32);
    files.close();
  });

  it("are within a file where chunks are asked for, and name none twice", async () => {
    const key = await importKey(generateKey());
    const read = async (ranges: unknown) => {
      const signal = { type: "request", contentId: "1", last: -1, urgent: false, ranges } as Signal;
      return openSignal(key, SESSION, await sealSignal(key, SESSION, "a", new Numbering().next(), signal));
    };
    const wrong = [
      Array.from({ length: 64 }, () => [0, 16_383]),
      Array.from({ length: 65 }, (_, i) => [i, i]),
      [[0, 5], [5, 6]],
      [[3, 4], [0, 1]],
      [[2, 1]],
      [[0, MOST_CHUNKS]],
      [[0]],
      [[0, 1, 2]],
      "all",
    ];
    for (const ranges of wrong) expect(await read(ranges), JSON.stringify(ranges)).toBeUndefined();
    for (const ranges of [[], [[0, MOST_CHUNKS - 1]], gaps(MOST_CHUNKS, (i) => i % 2 === 0)]) {
      expect(await read(ranges), JSON.stringify(ranges)).toMatchObject({ from: "a", signal: { ranges } });
    }
  });
});
