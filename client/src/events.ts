import type { ShareError, ConnectionError, SessionError } from "./errors.js";
import type { Data } from "./envelope.js";
import type { FileInfo, FileProgress } from "./file.js";
import type { Freshness } from "./freshness.js";
import type { Client, SharedContent } from "./wire.js";

/** ServiceEvents are the events of a SocketService, and what each carries. */
export interface ServiceEvents {
  /** The connection is there, for the first time or again. */
  connect: { id: string };
  /** The connection is gone. It comes back by itself, unless disconnect was called or `connection-ended` follows. */
  disconnect: { reason: string };
  /** An attempt to connect has failed. Another follows, unless `connection-ended` came. */
  "connection-error": ConnectionError;
  /**
   * The server has ended the connection, or does not let this client in, for a reason that does not pass. The service
   * stays away until connect is called, and then joins its sessions again.
   */
  "connection-ended": ConnectionError;
  /** The server has sent an `error` event: something that was sent was refused. */
  "server-error": ShareError;
  /** Another client has come. */
  "client-joined": { sessionId: string; clientId: string; clientName: string };
  /** Another client has left, or its connection was lost. */
  "client-left": { sessionId: string; clientId: string };
  /** The session was joined again after a reconnect. */
  "session-rejoined": { sessionId: string; clients: Client[] };
  /** The session cannot be joined again right now, as it is full or the server is busy. Another attempt follows. */
  "session-rejoin-delayed": { sessionId: string; error: SessionError };
  /**
   * The session is over for this client: it was refused after a reconnect, or this client has its place on another
   * connection (`replaced`).
   */
  "session-rejoin-failed": { sessionId: string; error: SessionError };
  /**
   * Another client has shared something other than a file. The server says which: `clientId` is undefined where an older
   * one does not.
   */
  content: {
    sessionId: string;
    content: SharedContent;
    data: Data | undefined;
    clientId: string | undefined;
    freshness: Freshness;
  };
  /** Something came that cannot be decrypted or read, or is not from who it says it is. */
  "content-error": { sessionId: string; contentId: string | undefined; error: ShareError };
  /** Something that was sent without waiting (sendThrottled, sendBatched) did not go out. */
  "send-error": { sessionId: string; error: ShareError };
  /** A file is announced, by another client or by this one. */
  "file-offered": { sessionId: string; file: FileInfo; direction: "in" | "out"; freshness: Freshness };
  /** A file was sent before this client came, and is so large that it comes only when it is asked for: see fetchFile. */
  "file-held": { sessionId: string; file: FileInfo };
  /** A file has come further. */
  "file-progress": { sessionId: string } & FileProgress;
  /** A file of another client is complete. */
  file: { sessionId: string; file: FileInfo; blob: Blob };
  /** A file does not arrive, or could not be sent. */
  "file-error": { sessionId: string; contentId: string; file: FileInfo | undefined; error: ShareError };
  /** A file of this client has arrived, whole, at another. */
  "file-delivered": { sessionId: string; file: FileInfo; clientId: string };
}
