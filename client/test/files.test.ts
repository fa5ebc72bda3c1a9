import { describe, expect, it } from "vitest";
import { CHUNK_SIZE, generateKey, importKey, type ServiceEvents, sha256, TransferError } from "../src/index.js";
import { next, noise, until, useBench } from "./helpers.js";

const SESSION = "s";

describe("files", () => {
  const bench = useBench();

  async function pair() {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    return { ada, bob, key };
  }

  it("arrive as they were sent, with progress on both sides", async () => {
    const { ada, bob } = await pair();
    const file = new File([noise(5 * CHUNK_SIZE + 17)], "holiday.jpg", { type: "image/jpeg" });
    const progress: { in: number[]; out: number[] } = { in: [], out: [] };
    const called: number[] = [];
    ada.on("file-progress", ({ direction, bytes }) => progress[direction].push(bytes));
    bob.on("file-progress", ({ direction, bytes }) => progress[direction].push(bytes));
    const arrived = next(bob, "file");
    const delivered = next(ada, "file-delivered");
    const info = await ada.shareFile(SESSION, file, { onProgress: ({ bytes }) => called.push(bytes) });
    const { blob, file: got } = await arrived;
    expect(got).toEqual(info);
    expect(got).toMatchObject({
      name: "holiday.jpg",
      type: "image/jpeg",
      size: file.size,
      totalChunks: 6,
      senderName: "Ada",
    });
    expect(blob.type).toBe("image/jpeg");
    expect(await sha256(blob)).toBe(await sha256(file));
    for (const steps of [progress.in, progress.out, called]) {
      expect(steps[0]).toBe(0);
      expect(steps.at(-1)).toBe(file.size);
      expect(steps).toHaveLength(7);
      expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    }
    expect((await delivered).clientId).toBe(bob.id);
  });

  it("arrive when they are empty, and when they fill their chunks", async () => {
    const { ada, bob } = await pair();
    for (const size of [0, 1, CHUNK_SIZE, 2 * CHUNK_SIZE]) {
      const arrived = next(bob, "file");
      await ada.shareFile(SESSION, new Blob([noise(size)]));
      const { blob, file } = await arrived;
      expect(blob.size).toBe(size);
      expect(file.name).toBe("file");
    }
  });

  it("show the server nothing of themselves", async () => {
    const { ada, bob } = await pair();
    const text = "the secret plan ".repeat(10_000);
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, new File([text], "plan.txt", { type: "text/plain" }));
    await arrived;
    const wire = JSON.stringify(bench.server.sent, (_, value) =>
      value?.type === "Buffer" ? Buffer.from(value.data).toString("latin1") : value,
    );
    for (const secret of ["secret plan", "plan.txt", "text/plain", 'Ada\\"']) expect(wire).not.toContain(secret);
    const chunks = bench.server.events("chunk").map(({ chunk }) => chunk);
    const ivs = chunks.map(({ iv }) => Buffer.from(iv).toString("hex"));
    expect(new Set(ivs).size).toBe(chunks.length);
    expect(Buffer.isBuffer(chunks[0].encryptedData)).toBe(true);
  });

  it("keep no more than a few chunks unacknowledged", async () => {
    const { ada } = await pair();
    bench.server.rule = ({ event }) => (event === "chunk" ? "ignore" : undefined);
    const controller = new AbortController();
    const sending = ada.shareFile(SESSION, new Blob([noise(64 * CHUNK_SIZE)]), { signal: controller.signal });
    // The same may go out again where the answer takes too long, and Bob may ask for what he lacks.
    const sent = () => bench.server.sent.filter(({ event, clientId }) => event === "chunk" && clientId === ada.id);
    const parts = () => sent().filter(({ payload }) => payload.chunk.totalChunks === 64);
    const indexes = () => new Set(parts().map(({ payload }) => payload.chunk.chunkIndex));
    await until(() => indexes().size >= 4, "4 chunks");
    controller.abort();
    await expect(sending).rejects.toThrow(TransferError);
    await until(() => sent().length > parts().length, "the word that it was cancelled");
    expect(indexes().size).toBe(4);
  });

  it("go on from the last acknowledged chunk when the sender's connection was lost", async () => {
    bench.server.tokens = true;
    const { ada, bob } = await pair();
    const file = new Blob([noise(60 * CHUNK_SIZE)]);
    let cut = false;
    let acknowledged = 0;
    ada.on("file-progress", ({ direction, bytes }) => {
      if (direction === "out") acknowledged = bytes / CHUNK_SIZE;
      if (bytes >= 20 * CHUNK_SIZE && !cut) {
        cut = true;
        bench.server.cut(ada.id);
      }
    });
    let atRejoin = -1;
    let seen = -1;
    ada.on("session-rejoined", () => {
      atRejoin = acknowledged;
      seen = bench.server.sent.length;
    });
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, file);
    expect(await sha256((await arrived).blob)).toBe(await sha256(file));
    expect(atRejoin).toBeGreaterThanOrEqual(20);
    const again = bench.server.sent
      .slice(seen)
      .filter(({ event, payload }) => event === "chunk" && payload.chunk.totalChunks === 60);
    expect(Math.min(...again.map(({ payload }) => payload.chunk.chunkIndex))).toBe(atRejoin);
  });

  it("arrive when the receiver's connection was lost on the way", async () => {
    const { ada, bob } = await pair();
    const file = new Blob([noise(80 * CHUNK_SIZE)]);
    const cut = next(bob, "file-progress", ({ bytes }) => bytes >= 10 * CHUNK_SIZE).then(() =>
      bench.server.cut(bob.id),
    );
    const rejoined = next(bob, "session-rejoined");
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, file);
    await cut;
    await rejoined;
    expect(await sha256((await arrived).blob)).toBe(await sha256(file));
  });

  it("arrive at those who join while they are on their way, and after", async () => {
    const { ada, bob, key } = await pair();
    const file = new Blob([noise(40 * CHUNK_SIZE)]);
    const carol = bench.service();
    const joined = next(bob, "file-progress", ({ bytes }) => bytes >= 10 * CHUNK_SIZE).then(() =>
      carol.joinSession(SESSION, "Carol", { key }),
    );
    const atCarol = next(carol, "file");
    await ada.shareFile(SESSION, file);
    await joined;
    expect(await sha256((await atCarol).blob)).toBe(await sha256(file));
    const dave = bench.service();
    const atDave = next(dave, "file");
    await dave.joinSession(SESSION, "Dave", { key });
    expect(await sha256((await atDave).blob)).toBe(await sha256(file));
  });

  it("wait to be asked for when they are large and one comes late", async () => {
    const key = generateKey();
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada", { key });
    const file = new Blob([noise(8 * CHUNK_SIZE)]);
    const { contentId } = await ada.shareFile(SESSION, file);
    const carol = bench.service({ autoFetchSize: 100_000 });
    const held = next(carol, "file-held");
    const arrived = next(carol, "file");
    await carol.joinSession(SESSION, "Carol", { key });
    expect((await held).file.contentId).toBe(contentId);
    const sent = () => bench.server.events("chunk").filter(({ chunk }) => chunk.contentId === contentId).length;
    expect(sent()).toBe(8);
    expect(() => carol.fetchFile(SESSION, "another")).toThrow(TransferError);
    carol.fetchFile(SESSION, contentId);
    expect(await sha256((await arrived).blob)).toBe(await sha256(file));
    expect(sent()).toBe(16);
    // One that is sent while both are there is not held back.
    const next2 = next(carol, "file");
    await ada.shareFile(SESSION, file);
    await next2;
  });

  it("are not waited for when they were given up before one came", async () => {
    bench.server.history = 10;
    const key = generateKey();
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada", { key });
    const controller = new AbortController();
    const sending = ada.shareFile(SESSION, new Blob([noise(100 * CHUNK_SIZE)]), {
      signal: controller.signal,
      onProgress: ({ bytes }) => bytes > 0 && controller.abort(),
    });
    await expect(sending).rejects.toMatchObject({ code: "aborted" });
    const carol = bench.service();
    const failed = next(carol, "file-error");
    await carol.joinSession(SESSION, "Carol", { key });
    expect((await failed).error.code).toBe("cancelled");
  });

  it("take a key of their own, and one of WebCrypto", async () => {
    const key = await importKey(generateKey());
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada");
    await bob.joinSession(SESSION, "Bob", { key });
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, new Blob([noise(10)]), { key });
    expect((await arrived).blob.size).toBe(10);
    const forHashes = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    await expect(ada.shareFile(SESSION, new Blob(["x"]), { key: forHashes })).rejects.toMatchObject({
      code: "invalid_key",
    });
  });

  it("do not arrive twice", async () => {
    const { ada, bob } = await pair();
    bench.server.history = 10;
    let times = 0;
    bob.on("file", () => times++);
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, new Blob([noise(10)]));
    await arrived;
    const rejoined = next(bob, "session-rejoined");
    bench.server.cut(bob.id);
    await rejoined;
    // What is shared after the announcement has come again comes after it.
    const after = next(bob, "content");
    await ada.shareContent(SESSION, { contentType: "text" }, "after");
    await after;
    expect(times).toBe(1);
  });

  it("are sent again, part by part, when the server asks for fewer", async () => {
    const { ada, bob } = await pair();
    let refused = 0;
    bench.server.rule = ({ event, clientId }) =>
      event === "chunk" && clientId === ada.id && refused < 3 && ++refused > 0 ? "throttled" : undefined;
    const arrived = next(bob, "file");
    await ada.shareFile(SESSION, new Blob([noise(10 * CHUNK_SIZE)]));
    expect((await arrived).blob.size).toBe(10 * CHUNK_SIZE);
    expect(refused).toBe(3);
  });

  it("fail with the server's reason when the server refuses them", async () => {
    const { ada, bob } = await pair();
    bench.server.rule = ({ event, payload }) =>
      event === "chunk" && payload.chunk.chunkIndex === 3 ? "changed_total" : undefined;
    const failed = next(ada, "file-error");
    const cancelled = next(bob, "file-error");
    await expect(ada.shareFile(SESSION, new Blob([noise(10 * CHUNK_SIZE)]))).rejects.toMatchObject({
      code: "changed_total",
    });
    expect((await failed).error.code).toBe("changed_total");
    expect((await cancelled).error.code).toBe("cancelled");
  });

  it("are cancelled on both sides", async () => {
    const { ada, bob } = await pair();
    const controller = new AbortController();
    const cancelled = next(bob, "file-error");
    const file = new File([noise(100 * CHUNK_SIZE)], "big.bin");
    const sending = ada.shareFile(SESSION, file, {
      signal: controller.signal,
      onProgress: ({ bytes }) => bytes > 5 * CHUNK_SIZE && controller.abort(),
    });
    await expect(sending).rejects.toMatchObject({ code: "aborted", name: "TransferError" });
    expect((await cancelled).error).toMatchObject({ code: "cancelled", message: '"big.bin" was cancelled by Ada.' });
    await expect(ada.shareFile(SESSION, file, { signal: controller.signal })).rejects.toMatchObject({
      code: "aborted",
    });
  });

  it("end when their session is left", async () => {
    const { ada } = await pair();
    const sending = ada.shareFile(SESSION, new Blob([noise(100 * CHUNK_SIZE)]), {
      onProgress: ({ bytes }) => bytes > 5 * CHUNK_SIZE && void ada.leaveSession(SESSION),
    });
    await expect(sending).rejects.toMatchObject({ code: "left" });
  });

  it("fail when they cannot be read", async () => {
    const { ada, bob } = await pair();
    class Gone extends Blob {
      override slice(): Blob {
        return { arrayBuffer: () => Promise.reject(new Error("it is gone")) } as unknown as Blob;
      }
    }
    const cancelled = next(bob, "file-error");
    await expect(ada.shareFile(SESSION, new Gone([noise(10)]))).rejects.toMatchObject({ code: "read_failed" });
    expect((await cancelled).error.code).toBe("cancelled");
  });

  it("need a key", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    await expect(ada.shareFile(SESSION, new Blob(["x"]))).rejects.toMatchObject({ code: "no_key" });
  });

  it("are refused beyond the receiver's limit", async () => {
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service({ maxFileSize: 1000 })];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const failed = next(bob, "file-error");
    await ada.shareFile(SESSION, new Blob([noise(1001)]));
    expect((await failed).error.code).toBe("too_large");
  });

  it("are put together when chunks come twice, in any order, moved, forged and with another total", async () => {
    const { ada, bob } = await pair();
    const file = new Blob([noise(9 * CHUNK_SIZE)]);
    // Nothing of the file reaches Bob by itself.
    bench.server.rule = ({ event, payload }) =>
      event === "chunk" && payload.chunk.totalChunks === 9 ? "ignore" : undefined;
    const offered = next(bob, "file-offered");
    void ada.shareFile(SESSION, file).catch(() => undefined);
    const { contentId } = (await offered).file;
    const mine = ({ event, payload }: { event: string; payload: any }) =>
      event === "chunk" && payload.chunk.contentId === contentId;
    const taken = () => bench.server.sent.filter(mine).map(({ payload }) => payload.chunk);
    await until(() => taken().length >= 4, "4 chunks");
    const [first, second, third, fourth] = taken();
    const steps: number[] = [];
    bob.on("file-progress", ({ bytes }) => steps.push(bytes));
    const send = (chunk: object) => bench.server.emit(bob.id!, "chunk", { sessionId: SESSION, chunk });
    send({ ...first, chunkIndex: 5 });
    send({ ...first, totalChunks: 10 });
    send({ ...first, encryptedData: Buffer.alloc(first.encryptedData.length) });
    send({ ...first, iv: Buffer.alloc(0) });
    send({ ...first, chunkIndex: -1 });
    send({ ...first, contentId: "another" });
    send({ ...first, encryptedData: "text" });
    for (const chunk of [fourth, second, second, first, third, first]) send(chunk);
    await until(() => steps.length === 4, "4 chunks taken");
    // The rest comes when the server lets it through: what is missing is asked for.
    bench.server.rule = () => undefined;
    const arrived = next(bob, "file");
    bench.server.cut(ada.id);
    expect(await sha256((await arrived).blob)).toBe(await sha256(file));
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(steps).toHaveLength(9);
  });

  it("do not take names that mislead", async () => {
    const { ada, bob } = await pair();
    const names: [string, string][] = [
      ["../../etc/passwd", "passwd"],
      ["C:\\temp\\a.txt", "a.txt"],
      ["photo\u202Egpj.exe", "photogpj.exe"],
      ["two\nlines", "twolines"],
      ["   ", "file"],
      ["n".repeat(300), "n".repeat(255)],
    ];
    for (const [given, shown] of names) {
      const arrived: Promise<ServiceEvents["file"]> = next(bob, "file");
      await ada.shareFile(SESSION, new Blob(["x"]), { name: given });
      expect((await arrived).file.name).toBe(shown);
    }
  });
});
