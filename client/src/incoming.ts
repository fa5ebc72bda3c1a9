import { open } from "./crypto.js";
import { TransferError } from "./errors.js";
import { chunkContext, chunkLength, type FileInfo, type FileProgress, readFileInfo } from "./file.js";
import type { Freshness } from "./freshness.js";
import { gaps, type Signal } from "./signal.js";
import type { Chunk, SharedContent } from "./wire.js";
import { Remembered } from "./waiting.js";

const PATIENCE_FIRST = 1000; // milliseconds without a chunk before the missing ones are asked for
const PATIENCE_MOST = 16_000;
const PATIENT = 3; // requests after which what may be on its way is asked for too
const TRIES = 6; // requests without an answer before the file counts as unavailable

/** How many files may be on their way at a time, and how many of them from one sender. */
const MOST_MOVING = 64;
const MOST_OF_ONE = 32;
/** How many files may wait: for a place, to be asked for, or for a sender who does not answer. */
const MOST_RESTING = 256;
const MOST_REMEMBERED = 2000; // files that have arrived, or were refused

/** IncomingLink is what receiving files needs of the session. */
export interface IncomingLink {
  readonly sessionId: string;
  readonly key: CryptoKey;
  /** The largest file that is accepted, in bytes; what has come of files that rest is no more than that either. */
  readonly maxFileSize: number;
  /** The largest file that is asked for by itself when it was sent before this client came, in bytes. */
  readonly autoFetchSize: number;
  /** Whether this client is in the session right now. */
  joined(): boolean;
  /** Whether a client of that id is in the session. */
  present(clientId: string): boolean;
  signal(signal: Signal): void;
  offered(file: FileInfo, freshness: Freshness): void;
  held(file: FileInfo): void;
  progress(progress: FileProgress): void;
  complete(file: FileInfo, blob: Blob): void;
  failed(contentId: string, file: FileInfo | undefined, error: TransferError): void;
}

/**
 * IncomingFiles puts the files of a session together from their chunks, in whatever order and however often those come,
 * and asks for the ones that are missing. Chunks are kept as Blobs, which browsers move to the disk.
 *
 * What rests takes no place of what moves, and what has ended without success is forgotten: it may be offered again.
 */
export class IncomingFiles {
  /** Those that rest are in the order in which they came to. */
  readonly #files = new Map<string, IncomingFile>();
  readonly #arrived = new Remembered(MOST_REMEMBERED);
  /** What was refused is told once, however often it is offered. */
  readonly #refused = new Remembered(MOST_REMEMBERED);

  constructor(readonly link: IncomingLink) {}

  /**
   * offer takes the announcement of a file by the client that it names. One that is known wakes a file that had come to a
   * halt. Of one that comes late, chunks have been missed and are asked for at once.
   */
  offer(content: SharedContent, freshness: Freshness, late: boolean): void {
    const { contentId } = content;
    const known = this.#files.get(contentId);
    if (known !== undefined) {
      known.offeredBy(content.senderId);
      return;
    }
    if (this.#arrived.has(contentId)) return;
    const info = readFileInfo(content);
    if (info === undefined) {
      this.#refuse(contentId, undefined, new TransferError("invalid", "A file was announced that cannot be."));
    } else if (info.size > this.link.maxFileSize) {
      const most = `${this.link.maxFileSize} bytes`;
      this.#refuse(contentId, info, new TransferError("too_large", `"${info.name}" has more than ${most}.`));
    } else {
      const file = new IncomingFile(info, this.link, this);
      this.#files.set(contentId, file);
      this.link.offered(info, freshness);
      file.start(late);
    }
  }

  /** chunk takes a chunk, sent by a client if the server says by which. One of a file that is not known is dropped. */
  async chunk(chunk: Chunk, from: string | undefined): Promise<void> {
    await this.#files.get(chunk.contentId)?.accept(chunk, from);
  }

  /** fetch asks for a file that was held back, or had come to a halt. It tells whether there is one. */
  fetch(contentId: string): boolean {
    const file = this.#files.get(contentId);
    file?.fetch();
    return file !== undefined;
  }

  /** cancel gives up a file that its sender has given up. Nobody else can; undefined is for who cannot be known. */
  cancel(contentId: string, from: string | undefined): void {
    const file = this.#files.get(contentId);
    if (file === undefined || (from !== undefined && from !== file.sender)) return;
    this.#forget(file, new TransferError("cancelled", `"${file.info.name}" was cancelled by ${file.info.senderName}.`));
    this.#next();
  }

  /** left takes into account that a client has gone: what has not come of its files does not come for now. */
  left(clientId: string): void {
    for (const file of [...this.#files.values()]) {
      if (file.sender === clientId) file.abandoned();
    }
  }

  /** interrupted tells that this client is away. */
  interrupted(): void {
    for (const file of this.#files.values()) file.interrupted();
  }

  /** rejoined asks for what was missed while this client was away. */
  rejoined(): void {
    for (const file of [...this.#files.values()]) {
      if (file.moving || this.link.present(file.sender)) file.wake();
    }
  }

  /** close lets go of everything that is not complete. */
  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  /** hasPlace tells whether one more file of a sender may move. */
  hasPlace(sender: string): boolean {
    let [all, own] = [0, 0];
    for (const file of this.#files.values()) {
      if (!file.moving) continue;
      all++;
      if (file.sender === sender) own++;
    }
    return all < MOST_MOVING && own < MOST_OF_ONE;
  }

  /** rested is called when a file does not move any more, for now. */
  rested(file: IncomingFile): void {
    const { contentId } = file.info;
    this.#files.delete(contentId);
    this.#files.set(contentId, file);
    for (let one = this.#surplus(); one !== undefined; one = this.#surplus()) {
      this.#forget(one, new TransferError("too_many", `"${one.info.name}" is one too many: others wait that came later.`));
    }
    this.#next();
  }

  /** arrived is called when a file is complete. */
  arrived(file: IncomingFile): void {
    this.#files.delete(file.info.contentId);
    this.#arrived.add(file.info.contentId);
    this.#next();
  }

  #next(): void {
    for (const file of [...this.#files.values()]) {
      if (file.queued && this.hasPlace(file.sender)) file.move(true);
    }
  }

  #forget(file: IncomingFile, error: TransferError): void {
    file.close();
    this.#files.delete(file.info.contentId);
    this.link.failed(file.info.contentId, file.info, error);
  }

  #refuse(contentId: string, info: FileInfo | undefined, error: TransferError): void {
    if (this.#refused.add(`${error.code} ${contentId}`)) this.link.failed(contentId, info, error);
  }

  /** surplus returns a file to be given up where too many rest, or too much of them: the oldest of who has the most. */
  #surplus(): IncomingFile | undefined {
    let resting = [...this.#files.values()].filter(({ moving }) => !moving);
    if (resting.length <= MOST_RESTING) {
      resting = resting.filter(({ bytes }) => bytes > 0);
      if (resting.reduce((sum, { bytes }) => sum + bytes, 0) <= this.link.maxFileSize) return undefined;
    }
    const counts = new Map<string, number>();
    for (const { sender } of resting) counts.set(sender, (counts.get(sender) ?? 0) + 1);
    const most = Math.max(...counts.values());
    return resting.find(({ sender }) => counts.get(sender) === most);
  }
}

/** Places is who decides which files move. */
type Places = Pick<IncomingFiles, "hasPlace" | "rested" | "arrived">;

/**
 * State says what a file does: `moving`, `queued` (it waits for a place), `held` (it waits to be asked for), or
 * `unavailable` (its sender does not answer).
 */
type State = "moving" | "queued" | "held" | "unavailable";

class IncomingFile {
  /** The id of the client that has announced it, or that offers it since that one has left. */
  sender: string;
  /** How many bytes have come. */
  bytes = 0;
  readonly #parts = new Map<number, Blob>();
  #state: State = "queued";
  #tries = 0;
  #last = -1;
  /** Whether somebody wants it, however large it is. */
  #wanted = false;
  /** Whether its sender has left. */
  #abandoned = false;
  #askedAt = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    readonly info: FileInfo,
    readonly link: IncomingLink,
    readonly places: Places,
  ) {
    this.sender = info.senderId;
  }

  get moving(): boolean {
    return this.#state === "moving";
  }

  get queued(): boolean {
    return this.#state === "queued" && !this.#closed;
  }

  start(late: boolean): void {
    this.#report();
    if (this.info.totalChunks === 0) this.#finish();
    else this.move(late);
  }

  /** move takes a place, or waits for one. Once there it asks for what is missing, or waits for what is on its way. */
  move(ask: boolean): void {
    if (!this.#takePlace()) this.#rest("queued");
    else if (ask && Date.now() - this.#askedAt >= PATIENCE_FIRST) this.#request();
    else this.#wait();
  }

  fetch(): void {
    this.#wanted = true;
    this.wake();
  }

  /** offeredBy is called when a client offers it. Only its sender does, and who comes back may have another id. */
  offeredBy(clientId: string): void {
    if (clientId !== this.sender) {
      if (this.link.present(this.sender)) return;
      this.sender = clientId;
    }
    this.wake();
  }

  wake(): void {
    this.#tries = 0;
    this.#abandoned = false;
    if (this.#state === "held" && !this.#wanted) return;
    if (this.#state !== "queued") this.move(true);
  }

  /** abandoned is called when its sender has left. What is on its way here may still come. */
  abandoned(): void {
    this.#abandoned = true;
    if (this.#state === "moving") this.#wait();
    else if (this.#state === "queued") this.#giveUp();
  }

  interrupted(): void {
    clearTimeout(this.#timer);
    this.#askedAt = -Infinity;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async accept(chunk: Chunk, from: string | undefined): Promise<void> {
    const { info, link } = this;
    const index = chunk.chunkIndex;
    if (chunk.totalChunks !== info.totalChunks || !this.#lacks(index)) return;
    // Its sender alone sends it, who may be back under another id.
    if (from !== undefined && from !== this.sender && link.present(this.sender)) return;
    let bytes;
    try {
      bytes = await open(link.key, chunk, chunkContext(link.sessionId, info, index));
    } catch {
      // It is no chunk of this file, whoever sent it: the true one is missing still, and will be asked for.
    }
    if (bytes?.byteLength !== chunkLength(info, index)) return;
    // The same chunk may have been opened meanwhile, and have been the last. One without a place is asked for later.
    if (!this.#lacks(index) || !this.#takePlace()) return;
    this.#parts.set(index, new Blob([bytes]));
    this.bytes += bytes.byteLength;
    this.#last = index;
    this.#tries = 0;
    this.#report();
    if (this.#parts.size === info.totalChunks) this.#finish();
    else this.#wait();
  }

  #lacks(index: number): boolean {
    return !this.#closed && !this.#parts.has(index);
  }

  #takePlace(): boolean {
    if (!this.moving && !this.places.hasPlace(this.sender)) return false;
    this.#state = "moving";
    return true;
  }

  #rest(state: State): void {
    clearTimeout(this.#timer);
    this.#state = state;
    this.places.rested(this);
  }

  #report(): void {
    this.link.progress({ file: this.info, direction: "in", bytes: this.bytes, totalBytes: this.info.size });
  }

  #finish(): void {
    const { contentId, totalChunks, type } = this.info;
    this.close();
    this.places.arrived(this);
    this.link.signal({ type: "received", contentId });
    const parts = Array.from({ length: totalChunks }, (_, index) => this.#parts.get(index)!);
    this.#parts.clear();
    this.link.complete(this.info, new Blob(parts, { type }));
  }

  #giveUp(): void {
    const { contentId, name, senderName } = this.info;
    this.#rest("unavailable");
    if (this.#closed) return;
    const why = this.#abandoned ? "has left" : "does not answer";
    this.link.failed(contentId, this.info, new TransferError("unavailable", `"${name}" does not come: ${senderName} ${why}.`));
  }

  #wait(): void {
    clearTimeout(this.#timer);
    // Without a connection there is nobody to ask; after the reconnect it is asked at once.
    if (this.#closed || !this.link.joined()) return;
    const tries = this.#abandoned ? 0 : this.#tries;
    this.#timer = setTimeout(() => this.#request(), Math.min(PATIENCE_FIRST * 2 ** tries, PATIENCE_MOST));
  }

  #request(): void {
    clearTimeout(this.#timer);
    if (this.#closed || !this.moving || !this.link.joined()) return;
    const { contentId, totalChunks, size } = this.info;
    if (this.#abandoned || this.#tries === TRIES) {
      this.#giveUp();
      return;
    }
    if (this.#parts.size === 0 && !this.#wanted && size > this.link.autoFetchSize) {
      // All others would get it once more: somebody has to want it. If it is just about to be sent, its chunks come.
      this.#rest("held");
      if (!this.#closed) this.link.held(this.info);
      return;
    }
    const urgent = this.#tries >= PATIENT;
    this.#tries++;
    this.#askedAt = Date.now();
    const ranges = gaps(totalChunks, (index) => this.#parts.has(index));
    this.link.signal({ type: "request", contentId, last: this.#last, urgent, ranges });
    this.#wait();
  }
}
