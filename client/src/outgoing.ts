import { seal } from "./crypto.js";
import { ConnectionError, SessionError, ShareError, TransferError } from "./errors.js";
import { chunkContext, chunkLength, type FileInfo, type FileProgress } from "./file.js";
import type { Request, Signal } from "./signal.js";
import { Window } from "./window.js";
import { Deferred, Pulse } from "./waiting.js";
import type { Ack, Chunk, Client, SharedContent } from "./wire.js";

const LOOK_AGAIN = 200; // milliseconds
const PAUSE_THROTTLED = 250; // milliseconds
/** How often a receiver may have a file sent again, on the whole. All others get it as often. */
const MOST_REPETITIONS = 4;
const MOST_REPEATED_BESIDES = 64; // chunks

/** OutgoingLink is what sending files needs of the session. */
export interface OutgoingLink {
  readonly sessionId: string;
  /** Resolves while this client is in the session, rejects when it is not coming back. */
  ready(): Promise<void>;
  joined(): boolean;
  /** Those who are in the session, without this client. */
  others(): Client[];
  send(chunk: Chunk): Promise<Ack>;
  signal(key: CryptoKey, signal: Signal): void;
  progress(progress: FileProgress): void;
}

/**
 * OutgoingFile sends a file chunk by chunk: no more at a time than the server acknowledges in time, again what a lost
 * connection has swallowed, and again what a receiver asks for. It is kept after it was sent, for those who come late;
 * it holds no bytes of the file.
 */
export class OutgoingFile {
  readonly #window = new Window();
  readonly #changed = new Pulse();
  readonly #acknowledged: Uint8Array;
  /** The number of each chunk's latest sending, counted from 1; 0 if there was none. */
  readonly #sentAs: Uint32Array;
  /** How many sendings there were when a receiver came: what was sent before that has passed it by. */
  readonly #arrivals = new Map<string, number>();
  /** Chunks to be sent that were sent before. */
  readonly #again = new Set<number>();
  /** How many chunks were sent again for a receiver. */
  readonly #repeated = new Map<string, number>();
  readonly #flying = new Set<number>();
  readonly #result = new Deferred<void>();
  #next = 0;
  #sendings = 0;
  #count = 0;
  #bytes = 0;
  #pumping = false;
  #closed = false;
  #notBefore = 0;

  constructor(
    readonly content: SharedContent,
    readonly info: FileInfo,
    readonly file: Blob,
    readonly key: CryptoKey,
    readonly link: OutgoingLink,
    readonly onProgress: ((progress: FileProgress) => void) | undefined,
  ) {
    this.#acknowledged = new Uint8Array(info.totalChunks);
    this.#sentAs = new Uint32Array(info.totalChunks);
  }

  get complete(): boolean {
    return this.#count === this.info.totalChunks;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** send begins, and resolves once the server has acknowledged every chunk. */
  send(): Promise<void> {
    for (const { id } of this.link.others()) this.arrive(id);
    this.#report();
    if (this.complete) this.#result.resolve();
    this.#pump();
    return this.#result.promise;
  }

  /** arrive notes when a receiver came. */
  arrive(clientId: string): void {
    this.#arrivals.set(clientId, this.#sendings);
  }

  /** depart forgets a receiver. */
  depart(clientId: string): void {
    this.#arrivals.delete(clientId);
    this.#repeated.delete(clientId);
  }

  /** request sends chunks again that a receiver lacks: those it should have by now. The others come anyway. */
  request(from: string, { last, urgent, ranges }: Request): void {
    if (this.#closed) return;
    const arrived = this.#arrivals.get(from) ?? this.#sendings;
    const position = urgent ? this.#sendings : Math.max(arrived, this.#sentAs[last] ?? 0);
    let repeated = this.#repeated.get(from) ?? 0;
    const most = MOST_REPETITIONS * this.info.totalChunks + MOST_REPEATED_BESIDES;
    for (const [first, end] of ranges) {
      for (let index = first; index <= end && index < this.#next && repeated < most; index++) {
        if (this.#flying.has(index) || this.#again.has(index) || (this.#sentAs[index] ?? 0) > position) continue;
        this.#again.add(index);
        repeated++;
      }
    }
    this.#repeated.set(from, repeated);
    this.#pump();
  }

  /** interrupted tells that this client is away: nothing is due before it is back. */
  interrupted(): void {
    this.#changed.beat();
  }

  /** fail ends it, and tells the receivers that no more will come. */
  fail(error: ShareError): void {
    if (this.#closed) return;
    this.close(error);
    this.link.signal(this.key, { type: "cancel", contentId: this.info.contentId });
  }

  /** close ends it without a word. */
  close(error: ShareError): void {
    this.#closed = true;
    this.#again.clear();
    this.#result.reject(error);
    this.#changed.beat();
  }

  #pump(): void {
    if (this.#pumping || this.#closed) {
      this.#changed.beat();
      return;
    }
    this.#pumping = true;
    void this.#run();
  }

  /** run sends until there is nothing to be sent. What is asked for the moment after that begins it anew. */
  async #run(): Promise<void> {
    try {
      while (!this.#closed) {
        await this.link.ready();
        const pause = this.#notBefore - Date.now();
        if (this.#again.size === 0 && this.#next === this.info.totalChunks) {
          if (this.#flying.size === 0) return;
          await this.#changed.next(LOOK_AGAIN);
        } else if (pause > 0) {
          await this.#changed.next(pause);
        } else if (this.#flying.size >= this.#window.size) {
          await this.#changed.next(LOOK_AGAIN);
        } else {
          await this.#sendOne();
        }
      }
    } catch (error) {
      this.fail(asTransferError(error, this.info));
    } finally {
      this.#pumping = false;
    }
  }

  async #sendOne(): Promise<void> {
    const index = this.#take();
    this.#flying.add(index);
    const chunk = await this.#seal(index);
    if (this.#closed) return;
    if (!this.link.joined()) {
      this.#putBack(index);
      return;
    }
    this.#sentAs[index] = ++this.#sendings;
    void this.#deliver(index, chunk);
  }

  #take(): number {
    // What a lost connection has swallowed was put there in order.
    for (const index of this.#again) {
      this.#again.delete(index);
      return index;
    }
    return this.#next++;
  }

  #putBack(index: number): void {
    this.#flying.delete(index);
    this.#again.add(index);
  }

  async #seal(index: number): Promise<Chunk> {
    const { info, key, link } = this;
    const start = index * info.chunkSize;
    const bytes = new Uint8Array(await this.file.slice(start, start + chunkLength(info, index)).arrayBuffer());
    const sealed = await seal(key, bytes, chunkContext(link.sessionId, info, index));
    return { contentId: info.contentId, chunkIndex: index, totalChunks: info.totalChunks, ...sealed };
  }

  async #deliver(index: number, chunk: Chunk): Promise<void> {
    const began = Date.now();
    try {
      const ack = await this.link.send(chunk);
      if (ack.success) {
        this.#window.acknowledged(Date.now() - began);
        this.#flying.delete(index);
        this.#acknowledge(index);
      } else if (ack.code === "throttled") {
        this.#window.lost();
        this.#notBefore = Date.now() + PAUSE_THROTTLED;
        this.#putBack(index);
      } else if (!this.link.joined()) {
        this.#putBack(index);
      } else {
        const why = ack.error ?? "The server refused a part of the file.";
        this.fail(new SessionError(ack.code ?? "refused", why));
      }
    } catch (error) {
      if (error instanceof ConnectionError) {
        this.#window.lost();
        this.#putBack(index);
      } else {
        this.fail(asTransferError(error, this.info));
      }
    }
    this.#pump();
  }

  #acknowledge(index: number): void {
    if (this.#closed || this.#acknowledged[index] === 1) return;
    this.#acknowledged[index] = 1;
    this.#count++;
    this.#bytes += chunkLength(this.info, index);
    this.#report();
    if (this.complete) this.#result.resolve();
  }

  #report(): void {
    const progress: FileProgress = {
      file: this.info,
      direction: "out",
      bytes: this.#bytes,
      totalBytes: this.info.size,
    };
    this.link.progress(progress);
    this.onProgress?.(progress);
  }
}

function asTransferError(error: unknown, info: FileInfo): ShareError {
  if (error instanceof ShareError) return error;
  return new TransferError("read_failed", `"${info.name}" cannot be read any more.`, { cause: error });
}
