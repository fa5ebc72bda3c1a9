import { type Bytes, utf8 } from "./bytes.js";
import { generateId, open, seal } from "./crypto.js";
import { VERSION } from "./envelope.js";
import { MOST_CHUNKS } from "./file.js";
import { readStamp, type Stamp } from "./freshness.js";
import { type Chunk, isContentId, isCount, isFields, isText, readContent, SIGNAL_PREFIX, type SharedContent } from "./wire.js";

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
      last: number;
      urgent: boolean;
      ranges: [first: number, last: number][];
    }
  /** To the file's sender: it has arrived, whole. */
  | { type: "received"; contentId: string }
  /** To those who may have missed the announcement: it is here, and can be requested. */
  | { type: "offer"; content: SharedContent }
  /** To all who receive it: no more will come. */
  | { type: "cancel"; contentId: string }
  /** To all: this client was away, and has its old place again. What was sent meanwhile has passed it by. */
  | { type: "back" };

/** Request is the signal that asks for what is missing. */
export type Request = Extract<Signal, { type: "request" }>;

/** OpenedSignal is a signal and what its sender says of itself. */
export interface OpenedSignal {
  signal: Signal;
  /** The sender's id; undefined in some signals of clients of an older version. */
  from: string | undefined;
  /** What makes it one of a kind; undefined if a client of an older version has sent it. */
  stamp: Stamp | undefined;
}

const MOST_RANGES = 64;

/** isSignal tells whether a chunk is a signal. */
export function isSignal(chunk: Chunk): boolean {
  return chunk.contentId.startsWith(SIGNAL_PREFIX);
}

/** sealSignal makes a chunk of a signal, of the client with that id. */
export async function sealSignal(
  key: CryptoKey,
  sessionId: string,
  from: string,
  stamp: Stamp,
  signal: Signal,
): Promise<Chunk> {
  const contentId = SIGNAL_PREFIX + generateId();
  const message = utf8(JSON.stringify({ v: VERSION, ...stamp, ...signal, from }));
  const sealed = await seal(key, message, ["signal", sessionId, contentId]);
  return { contentId, chunkIndex: 0, totalChunks: 1, ...sealed };
}

/** openSignal reads a signal; undefined if it is none that is known. It throws a KeyError if it cannot be decrypted. */
export async function openSignal(
  key: CryptoKey,
  sessionId: string,
  chunk: Chunk,
): Promise<OpenedSignal | undefined> {
  const fields = readFields(await open(key, chunk, ["signal", sessionId, chunk.contentId]));
  const signal = fields && readSignal(fields);
  if (fields === undefined || signal === undefined) return undefined;
  const from = isText(fields.from) ? fields.from : undefined;
  const stamp = readStamp(fields);
  if (fields.v !== undefined && (stamp === undefined || from === undefined)) return undefined;
  return { signal, from, stamp };
}

function readFields(bytes: Bytes): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function readSignal(fields: Record<string, unknown>): Signal | undefined {
  const { type, contentId, last, ranges } = fields;
  if (type === "offer") {
    const content = readContent(fields.content);
    return content && { type, content };
  }
  if (type === "back") return { type };
  if (!isContentId(contentId)) return undefined;
  switch (type) {
    case "cancel":
    case "received":
      return { type, contentId };
    case "request":
      if (!areRanges(ranges) || !(isCount(last) || last === -1)) return undefined;
      return { type, contentId, last: last as number, urgent: fields.urgent === true, ranges };
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

/** areRanges tells whether a value is a request's ranges: in order, none twice, so that no chunk is asked for twice. */
function areRanges(value: unknown): value is [number, number][] {
  if (!Array.isArray(value) || value.length > MOST_RANGES) return false;
  let end = -1;
  for (const range of value) {
    if (!Array.isArray(range) || range.length !== 2) return false;
    const [first, last] = range as unknown[];
    if (!isCount(first) || !isCount(last) || first <= end || last < first || last >= MOST_CHUNKS) return false;
    end = last;
  }
  return true;
}
