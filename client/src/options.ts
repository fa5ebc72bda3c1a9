import type { ManagerOptions, SocketOptions } from "socket.io-client";
import type { Key } from "./crypto.js";
import type { Data } from "./envelope.js";
import type { FileProgress } from "./file.js";
import type { MarkStorage } from "./freshness.js";
import type { ContentInput } from "./wire.js";

/** ServiceOptions are all optional. */
export interface ServiceOptions {
  /** The server's address, with a namespace as its path if it is not "/". Default: where the page came from. */
  url?: string;
  /** The path of its Socket.IO endpoint. Default: "/socket.io/". */
  path?: string;
  /** Whether to connect at once. Default: true. Otherwise connect or joinSession does. */
  autoConnect?: boolean;
  /** How long the server may take to answer, in milliseconds. Default: 60,000. */
  ackTimeout?: number;
  /** How long joinSession may take, connecting included, in milliseconds. Default: 20,000. */
  joinTimeout?: number;
  /** The largest file that is received, in bytes. Default: 1 GiB. */
  maxFileSize?: number;
  /**
   * The largest file that is fetched by itself when it was sent before this client came, in bytes. Default: 10 MB. All
   * others in the session get its chunks once more, so larger ones wait for fetchFile.
   */
  autoFetchSize?: number;
  /**
   * The largest content that is sent, in bytes, description included. Default: 900,000, which fits into the server's
   * default for a message (`max_http_buffer_size 1MB`). The server ends the connection of who sends more.
   */
  maxContentSize?: number;
  /** The most entries of one `batch` event. Default: 100, as the server's. */
  maxBatch?: number;
  /**
   * Where it is kept which messages have come, so that a server cannot show them as new once more. It holds random names
   * and numbers. Default: the tab's sessionStorage, which outlasts that the page is loaded again, or memory.
   */
  storage?: MarkStorage;
  /** More options for socket.io-client, such as `transports` or `reconnectionDelay`. */
  socket?: Partial<ManagerOptions & SocketOptions>;
}

/** JoinOptions are all optional. */
export interface JoinOptions {
  /** What the session is encrypted with. Without one, contents travel as they are and no file can be shared. */
  key?: Key;
  /** What a server with `fingerprint first` compares. See the function fingerprint. */
  fingerprint?: string;
}

/** FileOptions are all optional. */
export interface FileOptions {
  /** What the file is encrypted with. Default: the session's key, which is what the receivers decrypt with. */
  key?: Key;
  /** The file's name. Default: its own. */
  name?: string;
  /** Names the content: 1 to 256 characters that do not begin with "signal-". Default: a random one. */
  contentId?: string;
  /** Is told with each acknowledged chunk. */
  onProgress?: (progress: FileProgress) => void;
  /** Cancels the file. */
  signal?: AbortSignal;
}

/** Entry is one content of a batch. */
export interface Entry {
  content: ContentInput;
  data?: Data;
}
