import { open } from "./crypto.js";
import { TransferError } from "./errors.js";
import { chunkContext, chunkLength, type FileInfo, type FileProgress, readFileInfo } from "./file.js";
import { gaps, type Signal } from "./signal.js";
import type { Chunk, SharedContent } from "./wire.js";
import type { Remembered } from "./waiting.js";

const PATIENCE_FIRST = 1000; // milliseconds without a chunk before the missing ones are asked for
const PATIENCE_MOST = 16_000;
const PATIENT = 3; // requests after which what may be on its way is asked for too
const TRIES = 6; // requests without an answer before the file counts as unavailable
const MOST_FILES = 64; // that have begun and are not complete

/** IncomingLink is what receiving files needs of the session. */
export interface IncomingLink {
  readonly sessionId: string;
  readonly key: CryptoKey;
  readonly seen: Remembered;
  /** The largest file that is accepted, in bytes. */
  readonly maxFileSize: number;
  /** The largest file that is asked for by itself when it was sent before this client came, in bytes. */
  readonly autoFetchSize: number;
  /** This client's id, or undefined while it is not in the session. */
  ownId(): string | undefined;
  signal(signal: Signal): void;
  offered(file: FileInfo): void;
  held(file: FileInfo): void;
  progress(progress: FileProgress): void;
  complete(file: FileInfo, blob: Blob): void;
  failed(contentId: string, file: FileInfo | undefined, error: TransferError): void;
}

/**
 * IncomingFiles puts the files of a session together from their chunks, in whatever order and however often those come,
 * and asks for the ones that are missing. Chunks are kept as Blobs, which browsers move to the disk.
 */
export class IncomingFiles {
  readonly #files = new Map<string, IncomingFile>();

  constructor(readonly link: IncomingLink) {}

  /**
   * offer takes the announcement of a file. One that is known wakes a file that had come to a halt. Of one that comes
   * late, chunks have been missed and are asked for at once.
   */
  offer(content: SharedContent, late: boolean): void {
    const { contentId } = content;
    const known = this.#files.get(contentId);
    if (known !== undefined) {
      known.wake();
      return;
    }
    if (!this.link.seen.add(contentId)) return;
    const info = readFileInfo(content);
    if (info === undefined) {
      this.link.failed(contentId, undefined, new TransferError("invalid", "A file was announced that cannot be."));
    } else if (info.size > this.link.maxFileSize) {
      const most = `${this.link.maxFileSize} bytes`;
      this.link.failed(contentId, info, new TransferError("too_large", `"${info.name}" has more than ${most}.`));
    } else if (this.#files.size >= MOST_FILES) {
      const error = new TransferError(
        "too_many",
        `"${info.name}" is one too many: ${MOST_FILES} files are on their way.`,
      );
      this.link.failed(contentId, info, error);
    } else {
      const file = new IncomingFile(info, this.link, () => this.#files.delete(contentId));
      this.#files.set(contentId, file);
      this.link.offered(info);
      file.start();
      if (late) file.wake();
    }
  }

  /** chunk takes a chunk. One of a file that is not known, or is complete, is dropped. */
  async chunk(chunk: Chunk): Promise<void> {
    await this.#files.get(chunk.contentId)?.accept(chunk);
  }

  /** fetch asks for a file that was held back, or had come to a halt. It tells whether there is one. */
  fetch(contentId: string): boolean {
    const file = this.#files.get(contentId);
    file?.fetch();
    return file !== undefined;
  }

  /** cancel gives up a file that its sender has given up. */
  cancel(contentId: string): void {
    const file = this.#files.get(contentId);
    if (file === undefined) return;
    file.close();
    this.#files.delete(contentId);
    const error = new TransferError("cancelled", `"${file.info.name}" was cancelled by ${file.info.senderName}.`);
    this.link.failed(contentId, file.info, error);
  }

  /** rejoined asks for what was missed while this client was away. */
  rejoined(): void {
    for (const file of this.#files.values()) file.wake();
  }

  /** close lets go of everything that is not complete. */
  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }
}

class IncomingFile {
  readonly #parts: (Blob | undefined)[];
  #count = 0;
  #bytes = 0;
  #tries = 0;
  #last = -1;
  #wanted = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    readonly info: FileInfo,
    readonly link: IncomingLink,
    readonly done: () => void,
  ) {
    this.#parts = new Array<Blob | undefined>(info.totalChunks);
  }

  start(): void {
    this.#report();
    if (this.info.totalChunks === 0) this.#finish();
    else this.#wait();
  }

  fetch(): void {
    this.#wanted = true;
    this.wake();
  }

  wake(): void {
    this.#tries = 0;
    this.#request();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async accept(chunk: Chunk): Promise<void> {
    const { info, link } = this;
    const index = chunk.chunkIndex;
    if (this.#closed || chunk.totalChunks !== info.totalChunks || this.#parts[index] !== undefined) return;
    let bytes;
    try {
      bytes = await open(link.key, chunk, chunkContext(link.sessionId, info, index));
    } catch {
      // It is no chunk of this file, whoever sent it: the true one is missing still, and will be asked for.
    }
    if (bytes?.byteLength !== chunkLength(info, index)) return;
    // The same chunk may have been opened meanwhile, and have been the last.
    if (this.#closed || this.#parts[index] !== undefined) return;
    this.#parts[index] = new Blob([bytes]);
    this.#count++;
    this.#bytes += bytes.byteLength;
    this.#last = index;
    this.#tries = 0;
    this.#report();
    if (this.#count === info.totalChunks) this.#finish();
    else this.#wait();
  }

  #report(): void {
    this.link.progress({ file: this.info, direction: "in", bytes: this.#bytes, totalBytes: this.info.size });
  }

  #finish(): void {
    this.close();
    this.done();
    const from = this.link.ownId();
    if (from !== undefined) this.link.signal({ type: "received", contentId: this.info.contentId, from });
    this.link.complete(this.info, new Blob(this.#parts as Blob[], { type: this.info.type }));
    this.#parts.length = 0;
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const patience = Math.min(PATIENCE_FIRST * 2 ** this.#tries, PATIENCE_MOST);
    this.#timer = setTimeout(() => this.#request(), patience);
  }

  #request(): void {
    if (this.#closed) return;
    // Without a connection there is nobody to ask; after the reconnect it is asked at once.
    const from = this.link.ownId();
    if (from === undefined) return;
    const { contentId, name, totalChunks, senderName } = this.info;
    if (this.#tries === TRIES) {
      clearTimeout(this.#timer);
      const error = new TransferError("unavailable", `"${name}" does not come: ${senderName} does not answer.`);
      this.link.failed(contentId, this.info, error);
      return;
    }
    if (this.#count === 0 && !this.#wanted && this.info.size > this.link.autoFetchSize) {
      // All others would get it once more: somebody has to want it. If it is just about to be sent, its chunks come.
      clearTimeout(this.#timer);
      this.link.held(this.info);
      return;
    }
    const urgent = this.#tries >= PATIENT;
    this.#tries++;
    const has = (index: number) => this.#parts[index] !== undefined;
    const ranges = gaps(totalChunks, has);
    this.link.signal({ type: "request", contentId, from, last: this.#last, urgent, ranges });
    this.#wait();
  }
}
