import { type Bytes, toBytes, utf8 } from "./bytes.js";
import { IV_BYTES, open, seal } from "./crypto.js";
import { ContentError } from "./errors.js";
import { readStamp, type Stamp } from "./freshness.js";
import { isContentId, isFields, readContent, type SharedContent } from "./wire.js";

/** Data is what a content carries besides its description. */
export type Data = string | Bytes;

/** Opened is a content as its sender described it, and its data. */
export interface Opened {
  content: SharedContent;
  data: Data | undefined;
  /** What makes it one of a kind; undefined if a client of an older version has sent it. */
  stamp: Stamp | undefined;
}

/**
 * VERSION is in all that is encrypted. Version 2 has a stamp, and the sender's id as the server knows it. What has no
 * version comes from older clients, which did not say as much: it is read, and never taken for fresh. Nobody without the
 * key can make the one out of the other.
 */
export const VERSION = 2;

/** ENCRYPTION is how the wire says that a content is an envelope. */
export const ENCRYPTION = "aes-256-gcm";

/** Envelope is a content on the wire of a session with a key: an id, and bytes that say nothing. */
export interface Envelope {
  content: { contentId: string; encryption: typeof ENCRYPTION };
  data: Bytes;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** isEnvelope tells whether a content on the wire is encrypted. */
export function isEnvelope(content: unknown): content is Envelope["content"] {
  return isFields(content) && isContentId(content.contentId) && content.encryption === ENCRYPTION;
}

/**
 * sealContent encrypts a content with its data. Inside are the length of the description (4 bytes, big-endian), the
 * description as JSON, and the data; outside, in front of the encrypted bytes, is the vector.
 */
export async function sealContent(
  key: CryptoKey,
  sessionId: string,
  content: SharedContent,
  data: Data | undefined,
  stamp: Stamp,
): Promise<Envelope> {
  const kind = data === undefined ? "none" : typeof data === "string" ? "text" : "bytes";
  const head = utf8(JSON.stringify({ v: VERSION, ...stamp, content, kind }));
  const body = data === undefined ? new Uint8Array(0) : typeof data === "string" ? utf8(data) : data;
  const message = new Uint8Array(4 + head.byteLength + body.byteLength);
  new DataView(message.buffer).setUint32(0, head.byteLength);
  message.set(head, 4);
  message.set(body, 4 + head.byteLength);
  const { iv, encryptedData } = await seal(key, message, context(sessionId, content.contentId));
  const sealed = new Uint8Array(iv.byteLength + encryptedData.byteLength);
  sealed.set(iv);
  sealed.set(encryptedData, iv.byteLength);
  return { content: { contentId: content.contentId, encryption: ENCRYPTION }, data: sealed };
}

/** openContent decrypts an envelope. It throws a KeyError or a ContentError. */
export async function openContent(
  key: CryptoKey,
  sessionId: string,
  content: Envelope["content"],
  data: unknown,
): Promise<Opened> {
  const sealed = toBytes(data);
  if (sealed === undefined) throw invalid("it is encrypted and has no bytes");
  const parts = { iv: sealed.slice(0, IV_BYTES), encryptedData: sealed.subarray(IV_BYTES) };
  const message = await open(key, parts, context(sessionId, content.contentId));
  try {
    const length = new DataView(message.buffer, message.byteOffset).getUint32(0);
    if (4 + length > message.byteLength) throw invalid("it is shorter than it says");
    const head: unknown = JSON.parse(decoder.decode(message.subarray(4, 4 + length)));
    const described = isFields(head) ? readContent(head.content) : undefined;
    if (!isFields(head) || described === undefined) throw invalid("it lacks a description");
    if (described.contentId !== content.contentId) throw invalid("it has two names");
    const body = message.slice(4 + length);
    const opened = head.kind === "text" ? decoder.decode(body) : head.kind === "bytes" ? body : undefined;
    const stamp = readStamp(head);
    if (head.v !== undefined && stamp === undefined) throw invalid("it does not say which one it is");
    return { content: described, data: opened, stamp };
  } catch (error) {
    if (error instanceof ContentError) throw error;
    throw invalid("it cannot be read", { cause: error });
  }
}

function context(sessionId: string, contentId: string): unknown[] {
  return ["content", sessionId, contentId];
}

function invalid(why: string, options?: ErrorOptions): ContentError {
  return new ContentError("invalid", `A content was dropped: ${why}.`, options);
}
