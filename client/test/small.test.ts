import { createHash } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { generateKey, importKey, newLink, readLink, sha256, writeLink } from "../src/index.js";
import { fromBase64Url, toBase64Url } from "../src/bytes.js";
import { Emitter } from "../src/emitter.js";
import { gaps } from "../src/signal.js";
import { Window } from "../src/window.js";
import { noise } from "./helpers.js";

describe("a link", () => {
  it("comes back as it was written", () => {
    for (const sessionId of [newLink().sessionId, "kitchen", "ä b/c.d#e%f", "."]) {
      const link = { sessionId, key: generateKey() };
      expect(readLink(writeLink(link))).toEqual(link);
    }
  });

  it("is none when anything is missing", () => {
    const key = generateKey();
    const wrong = [
      "",
      "#",
      "#.",
      `#.${key}`,
      "#a",
      `#a${key}`,
      `a.${key}`,
      `#a.${key.slice(1)}`,
      `#a.${key}A`,
      `#%.${key}`,
    ];
    for (const fragment of wrong) expect(readLink(fragment), fragment).toBeUndefined();
  });
});

describe("keys and sums", () => {
  it("are random, and cannot be taken out of a CryptoKey again", async () => {
    const keys = Array.from({ length: 100 }, generateKey);
    expect(new Set(keys).size).toBe(100);
    for (const key of keys) expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect((await importKey(keys[0]!)).extractable).toBe(false);
  });

  it("are those of other programs", async () => {
    for (const length of [0, 1, 63, 64, 100_000]) {
      const bytes = noise(length);
      const sum = createHash("sha256").update(bytes).digest("hex");
      expect(await sha256(bytes)).toBe(sum);
      expect(await sha256(new Blob([bytes]))).toBe(sum);
    }
  });

  it("need a page that came over HTTPS", async () => {
    vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
    try {
      await expect(importKey(generateKey())).rejects.toMatchObject({ code: "insecure_context", name: "KeyError" });
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it("are text that fits into a URL", () => {
    for (let length = 0; length < 20; length++) {
      const bytes = noise(length);
      expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes);
    }
    for (const text of ["a", "a=", "+", "/", "ä", " "]) expect(fromBase64Url(text)).toBeUndefined();
  });
});

describe("the parts", () => {
  it("find what is missing, as much as one request holds", () => {
    const has = new Set([0, 1, 4, 9]);
    expect(gaps(10, (i) => has.has(i))).toEqual([
      [2, 3],
      [5, 8],
    ]);
    expect(gaps(0, () => false)).toEqual([]);
    expect(gaps(1000, (i) => i % 2 === 0)).toHaveLength(64);
  });

  it("send more at a time while answers are quick, and less while they are slow", () => {
    const window = new Window();
    expect(window.size).toBe(4);
    for (let i = 0; i < 100; i++) window.acknowledged(10);
    expect(window.size).toBe(16);
    for (let i = 0; i < 100; i++) window.acknowledged(5000);
    expect(window.size).toBe(2);
    window.lost();
    expect(window.size).toBe(4);
  });

  it("call every listener, also when one throws or removes itself", async () => {
    const thrown: unknown[] = [];
    const keep = (error: unknown) => thrown.push(error);
    const before = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", keep);
    try {
      const emitter = new Emitter<{ tick: number }>();
      const heard: string[] = [];
      emitter.once("tick", (n) => heard.push(`once ${n}`));
      emitter.on("tick", () => {
        throw new Error("a listener");
      });
      const remove = emitter.on("tick", (n) => heard.push(`on ${n}`));
      emitter.emit("tick", 1);
      remove();
      emitter.emit("tick", 2);
      emitter.off("tick");
      emitter.emit("tick", 3);
      expect(heard).toEqual(["once 1", "on 1"]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(thrown).toHaveLength(2);
    } finally {
      process.off("uncaughtException", keep);
      for (const listener of before) process.on("uncaughtException", listener);
    }
  });
});
