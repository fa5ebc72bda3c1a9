import { type Bytes, toBytes } from "./bytes.js";
import { ServerError } from "./errors.js";

/**
 * Client is one member of a session. Its id is the id of the Socket.IO connection with which it has joined. It keeps that
 * after a reconnect if it is back before the server has given it up; to itself it always has the id of its connection.
 */
export interface Client {
  id: string;
  name: string;
}

/**
 * SharedContent describes what is shared. In a session with a key the server sees nothing of it but the `contentId`.
 * What came from another client has been checked for these fields' types, and for nothing else.
 */
export interface SharedContent {
  /** Names the content; another content with the same id is taken for a repetition. It must not begin with "signal-". */
  contentId: string;
  /**
   * The client that shared it, by its own account. What was encrypted, by a client of this version, is dropped where the
   * server says that another has sent it.
   */
  senderId: string;
  /** The name of who shared it, by their own account. */
  senderName: string;
  /** What it is, such as "text"; "file" announces a file. */
  contentType: string;
  /** When it was shared, in milliseconds since 1970, by the sender's clock. */
  timestamp: number;
  metadata?: Record<string, unknown>;
  /** Whether the data follows in chunks. */
  isChunked?: boolean;
  /** Bytes in all. */
  totalSize?: number;
}

/** ContentInput is what shareContent needs to be told; the rest of a SharedContent is filled in. */
export type ContentInput = Pick<SharedContent, "contentType"> & Partial<Omit<SharedContent, "senderId" | "senderName">>;

/** Chunk is a part of a content, on the wire. */
export interface Chunk {
  contentId: string;
  chunkIndex: number;
  totalChunks: number;
  encryptedData: Bytes;
  iv: Bytes;
}

/** Ack is a server's answer. */
export interface Ack {
  success: boolean;
  error?: string;
  code?: string;
  clients?: Client[];
  token?: string;
  /** The answers to the entries of a batch. */
  results?: Ack[];
}

type Fields = Record<string, unknown>;

const LONGEST_ID = 256; // characters; a server takes as many bytes

/**
 * What clients tell each other about files goes as a chunk whose id begins so. No content has such an id: none is sent,
 * and none is taken.
 */
export const SIGNAL_PREFIX = "signal-";

/** isFields tells whether a value is an object whose fields can be looked at. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && toBytes(value) === undefined;
}

/** readAck reads an answer; one that is none counts as a refusal without a reason. */
export function readAck(value: unknown): Ack {
  if (!isFields(value)) return { success: false };
  const ack: Ack = { success: value.success === true };
  if (typeof value.error === "string") ack.error = value.error;
  if (typeof value.code === "string") ack.code = value.code;
  if (typeof value.token === "string") ack.token = value.token;
  if (Array.isArray(value.results)) ack.results = value.results.map(readAck);
  if (Array.isArray(value.clients)) {
    ack.clients = value.clients
      .filter((client): client is Client => isFields(client) && isText(client.id) && isText(client.name))
      .map(({ id, name }) => ({ id, name }));
  }
  return ack;
}

/** readError reads an `error` event of the server. */
export function readError(value: unknown): ServerError {
  const fields = isFields(value) ? value : {};
  const message = isText(fields.message) ? fields.message : "The server reports an error.";
  return new ServerError(isText(fields.code) ? fields.code : "unknown", message);
}

/** readContent checks the description of a content; undefined if it is none. */
export function readContent(value: unknown): SharedContent | undefined {
  if (!isFields(value) || !isContentId(value.contentId) || !isText(value.contentType)) return undefined;
  const content: SharedContent = {
    ...value,
    contentId: value.contentId,
    contentType: value.contentType,
    senderId: isText(value.senderId) ? value.senderId : "",
    senderName: isText(value.senderName) ? value.senderName : "",
    timestamp: typeof value.timestamp === "number" ? value.timestamp : 0,
  };
  if (!isFields(content.metadata)) delete content.metadata;
  if (typeof content.isChunked !== "boolean") delete content.isChunked;
  if (typeof content.totalSize !== "number") delete content.totalSize;
  return content;
}

/** readChunk checks a chunk's fields; undefined if it is none. */
export function readChunk(value: unknown): Chunk | undefined {
  if (!isFields(value) || !isId(value.contentId)) return undefined;
  const { contentId, chunkIndex, totalChunks } = value;
  const encryptedData = toBytes(value.encryptedData);
  const iv = toBytes(value.iv);
  if (encryptedData === undefined || iv === undefined) return undefined;
  if (!isCount(chunkIndex) || !isCount(totalChunks) || chunkIndex >= totalChunks) return undefined;
  return { contentId, chunkIndex, totalChunks, encryptedData, iv };
}

/** isContentId tells whether a value may name a content. */
export function isContentId(value: unknown): value is string {
  return isId(value) && !value.startsWith(SIGNAL_PREFIX);
}

function isId(value: unknown): value is string {
  return isText(value) && value.length <= LONGEST_ID;
}

/** isText tells whether a value is a string with something in it. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** isCount tells whether a value is a whole number from zero on. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
