export { type Bytes } from "./bytes.js";
export { fingerprint, generateId, generateKey, importKey, type Key, sha256 } from "./crypto.js";
export { type Data } from "./envelope.js";
export {
  ConnectionError,
  ContentError,
  KeyError,
  ServerError,
  SessionError,
  ShareError,
  TransferError,
} from "./errors.js";
export { type Listener } from "./emitter.js";
export { type ServiceEvents } from "./events.js";
export { CHUNK_SIZE, type FileInfo, type FileProgress } from "./file.js";
export { type Freshness, type MarkStorage } from "./freshness.js";
export { newLink, readLink, type SessionLink, writeLink } from "./link.js";
export { type Entry, type FileOptions, type JoinOptions, type ServiceOptions } from "./options.js";
export { SocketService } from "./socketservice.js";
export { type Client, type ContentInput, type SharedContent } from "./wire.js";
