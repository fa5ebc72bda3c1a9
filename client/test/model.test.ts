import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { random, type Step, walk, World } from "./model.js";

// Anybody can have the same walks once more: MODEL_SEED=<seed> npm test -- model
const SEED = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const WALKS = 30;
const STEPS = 100; // of each walk
const SHRINKING = 60_000; // milliseconds

// What WebCrypto and Blobs do takes real time, in which nothing in the model could be told to stand still.
vi.mock("../src/crypto.js", async (original) => {
  const { KeyError } = await import("../src/errors.js");
  const mark = (key: unknown, context: unknown) => {
    let hash = 0x811c9dc5;
    for (const letter of JSON.stringify([key, context])) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
    return hash >>> 0;
  };
  return {
    ...(await original<typeof import("../src/crypto.js")>()),
    importKey: (key: unknown) => Promise.resolve(key),
    seal: (key: unknown, message: Uint8Array, context: unknown) => {
      const encryptedData = new Uint8Array(4 + message.byteLength);
      new DataView(encryptedData.buffer).setUint32(0, mark(key, context));
      encryptedData.set(message, 4);
      return Promise.resolve({ iv: new Uint8Array(12), encryptedData });
    },
    open: (key: unknown, { encryptedData }: { encryptedData: Uint8Array }, context: unknown) => {
      const bytes = Uint8Array.from(encryptedData);
      if (new DataView(bytes.buffer).getUint32(0) === mark(key, context)) return Promise.resolve(bytes.slice(4));
      return Promise.reject(new KeyError("decrypt_failed", "another key, or another place"));
    },
  };
});

class QuickBlob {
  readonly bytes: Uint8Array;
  readonly type: string;

  constructor(parts: (Uint8Array | QuickBlob)[], { type = "" }: { type?: string } = {}) {
    const bytes = parts.map((part) => (part instanceof QuickBlob ? part.bytes : part));
    this.bytes = new Uint8Array(bytes.reduce((sum, { byteLength }) => sum + byteLength, 0));
    let at = 0;
    for (const part of bytes) {
      this.bytes.set(part, at);
      at += part.byteLength;
    }
    this.type = type;
  }

  get size(): number {
    return this.bytes.byteLength;
  }

  slice(start: number, end: number): QuickBlob {
    return new QuickBlob([this.bytes.subarray(start, end)]);
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return Promise.resolve(Uint8Array.from(this.bytes).buffer);
  }
}

beforeAll(() => void vi.stubGlobal("Blob", QuickBlob));
afterAll(() => void vi.unstubAllGlobals());

/** shrink leaves out of a walk what is not needed for it to go wrong. */
async function shrink(seed: number, steps: readonly Step[]): Promise<Step[]> {
  const deadline = performance.now() + SHRINKING;
  let least = [...steps];
  for (let size = Math.ceil(least.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < least.length; ) {
      if (performance.now() > deadline) return least;
      const fewer = least.toSpliced(at, size);
      if ((await new World(seed).run(fewer)) === undefined) at += size;
      else least = fewer;
    }
  }
  return least;
}

it(`keeps its promises in ${WALKS * STEPS} steps`, { timeout: 300_000 }, async () => {
  console.info(`the model: MODEL_SEED=${SEED}`);
  const next = random(SEED);
  for (let i = 0; i < WALKS; i++) {
    const seed = Math.floor(next() * 2 ** 31);
    const steps = walk(seed, STEPS);
    if ((await new World(seed).run(steps)) === undefined) continue;
    const least = await shrink(seed, steps);
    const wrong = await new World(seed).run(least);
    const told = least.map((step) => JSON.stringify(step)).join("\n");
    expect.fail(`${wrong}\nMODEL_SEED=${SEED}, walk ${i + 1}, ${least.length} steps:\n${told}`);
  }
});
