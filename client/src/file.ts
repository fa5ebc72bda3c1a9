import { isCount, isText, type SharedContent } from "./wire.js";

/**
 * CHUNK_SIZE is how much of a file one chunk holds, in bytes before encryption. A file of more than 4 GiB has larger ones,
 * up to 512 KiB.
 */
export const CHUNK_SIZE = 64 * 1024;
/** MOST_CHUNKS is how many chunks a file may have. */
export const MOST_CHUNKS = 65_536;
/** LARGEST_FILE is the largest file that can be sent, in bytes. */
export const LARGEST_FILE = MOST_CHUNKS * 512 * 1024;
// What others may announce. Smaller chunks would be more work than the file is worth.
const SMALLEST_CHUNK = 4096;
const LARGEST_CHUNK = 1024 * 1024;
const LONGEST_NAME = 255; // characters, as file systems have it

/** FileInfo is what one knows of a file as soon as it is announced. */
export interface FileInfo {
  contentId: string;
  senderId: string;
  senderName: string;
  timestamp: number;
  /** The file's name, without folders, control characters, and characters that change the direction of writing. */
  name: string;
  /** The MIME type, or "" where it is unknown. The sender says so; nobody has looked. */
  type: string;
  /** Bytes. */
  size: number;
  chunkSize: number;
  totalChunks: number;
}

/** FileProgress tells how far a file is. */
export interface FileProgress {
  file: FileInfo;
  /** "out": what the server has acknowledged. "in": what was received and decrypted. */
  direction: "in" | "out";
  bytes: number;
  totalBytes: number;
}

/** describeFile turns a file to be shared, of LARGEST_FILE at most, into the content that announces it. */
export function describeFile(
  file: Blob,
  sender: Pick<SharedContent, "contentId" | "senderId" | "senderName">,
  name: string,
): SharedContent {
  let chunkSize = CHUNK_SIZE;
  while (file.size > MOST_CHUNKS * chunkSize) chunkSize *= 2;
  return {
    ...sender,
    contentType: "file",
    timestamp: Date.now(),
    isChunked: true,
    totalSize: file.size,
    metadata: {
      name: cleanName(name),
      mimeType: cleanType(file.type),
      chunkSize,
      totalChunks: Math.ceil(file.size / chunkSize),
    },
  };
}

/**
 * readFileInfo reads the announcement of a file; undefined if it is none, contradicts itself, or names sizes that no client
 * sends and that would be too much work.
 */
export function readFileInfo(content: SharedContent): FileInfo | undefined {
  const { name, mimeType, chunkSize, totalChunks } = content.metadata ?? {};
  const size = content.totalSize;
  if (!isText(name) || !isCount(size) || !isCount(chunkSize) || !isCount(totalChunks)) return undefined;
  if (chunkSize < SMALLEST_CHUNK || chunkSize > LARGEST_CHUNK) return undefined;
  if (totalChunks > MOST_CHUNKS || totalChunks !== Math.ceil(size / chunkSize)) return undefined;
  return {
    contentId: content.contentId,
    senderId: content.senderId,
    senderName: content.senderName,
    timestamp: content.timestamp,
    name: cleanName(name),
    type: typeof mimeType === "string" ? cleanType(mimeType) : "",
    size,
    chunkSize,
    totalChunks,
  };
}

/** isFile tells whether a content announces a file. */
export function isFile(content: SharedContent): boolean {
  return content.contentType === "file" && content.isChunked === true;
}

/** chunkLength returns how many bytes of the file are in a chunk. */
export function chunkLength(file: FileInfo, index: number): number {
  return Math.min(file.chunkSize, file.size - index * file.chunkSize);
}

/** chunkContext is what a chunk's encryption is bound to: nobody can move it to another place or another file. */
export function chunkContext(sessionId: string, file: FileInfo, index: number): unknown[] {
  return ["chunk", sessionId, file.contentId, index, file.totalChunks];
}

function cleanName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? "";
  const clean = last.replaceAll(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, "").trim();
  return clean.slice(0, LONGEST_NAME) || "file";
}

function cleanType(type: string): string {
  return /^[\w.+-]{1,64}\/[\w.+-]{1,64}$/.test(type) ? type.toLowerCase() : "";
}
