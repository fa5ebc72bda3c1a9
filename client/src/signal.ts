import { type Bytes, utf8 } from "./bytes.js";
import { generateId, open, seal } from "./crypto.js";
import { type Chunk, isCount, isFields, isText, readContent, type SharedContent } from "./wire.js";

/**
 * Signal is what clients tell each other about a file besides its chunks. It travels as a chunk of its own: encrypted,
 * and nothing a server would keep for those who come late.
 */
export type Signal =
  /**
   * To the file's sender: these chunks, from first to last, have not come. `last` is the one that came last, -1 if none
   * did: those that were sent after it may be on their way, unless so much time has passed that it is `urgent`.
   */
  | {
      type: "request";
      contentId: string;
      from: string;
      last: number;
      urgent: boolean;
      ranges: [first: number, last: number][];
    }
  /** To the file's sender: it has arrived, whole. */
  | { type: "received"; contentId: string; from: string }
  /** To those who may have missed the announcement: it is here, and can be requested. */
  | { type: "offer"; content: SharedContent }
  /** To all who receive it: no more will come. */
  | { type: "cancel"; contentId: string }
  /** To all: this client was away, and has its old place again. What was sent meanwhile has passed it by. */
  | { type: "back"; from: string };

/** Request is the signal that asks for what is missing. */
export type Request = Extract<Signal, { type: "request" }>;

const PREFIX = "signal-";
const MOST_RANGES = 64;

/** isSignal tells whether a chunk is a signal. */
export function isSignal(chunk: Chunk): boolean {
  return chunk.contentId.startsWith(PREFIX);
}

/** sealSignal makes a chunk of a signal. */
export async function sealSignal(key: CryptoKey, sessionId: string, signal: Signal): Promise<Chunk> {
  const contentId = PREFIX + generateId();
  const sealed = await seal(key, utf8(JSON.stringify(signal)), ["signal", sessionId, contentId]);
  return { contentId, chunkIndex: 0, totalChunks: 1, ...sealed };
}

/** openSignal reads a signal; undefined if it is none that is known. It throws a KeyError if it cannot be decrypted. */
export async function openSignal(key: CryptoKey, sessionId: string, chunk: Chunk): Promise<Signal | undefined> {
  return readSignal(await open(key, chunk, ["signal", sessionId, chunk.contentId]));
}

function readSignal(bytes: Bytes): Signal | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  if (!isFields(value)) return undefined;
  if (value.type === "offer") {
    const content = readContent(value.content);
    return content && { type: "offer", content };
  }
  if (value.type === "back") return isText(value.from) ? { type: "back", from: value.from } : undefined;
  const { contentId } = value;
  if (!isText(contentId)) return undefined;
  switch (value.type) {
    case "cancel":
      return { type: "cancel", contentId };
    case "received":
      return isText(value.from) ? { type: "received", contentId, from: value.from } : undefined;
    case "request":
      if (!Array.isArray(value.ranges) || value.ranges.length > MOST_RANGES || !value.ranges.every(isRange)) {
        return undefined;
      }
      if (!isText(value.from) || !(isCount(value.last) || value.last === -1)) return undefined;
      return {
        type: "request",
        contentId,
        from: value.from,
        last: value.last as number,
        urgent: value.urgent === true,
        ranges: value.ranges,
      };
    default:
      return undefined;
  }
}

/** gaps returns the ranges for which has is false, at most as many as a request may hold. */
export function gaps(total: number, has: (index: number) => boolean): [number, number][] {
  const ranges: [number, number][] = [];
  for (let index = 0; index < total && ranges.length < MOST_RANGES; index++) {
    if (has(index)) continue;
    const first = index;
    while (index + 1 < total && !has(index + 1)) index++;
    ranges.push([first, index]);
  }
  return ranges;
}

function isRange(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && isCount(value[0]) && isCount(value[1]) && value[0] <= value[1];
}
