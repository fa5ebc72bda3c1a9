import type { FileInfo, FileProgress } from "./file.js";
import { type Freshness, Numbering } from "./freshness.js";
import { TransferError, type ShareError } from "./errors.js";
import { IncomingFiles } from "./incoming.js";
import type { Membership } from "./membership.js";
import { OutgoingFile, type OutgoingLink } from "./outgoing.js";
import { openSignal, sealSignal, type Signal } from "./signal.js";
import { after, Remembered } from "./waiting.js";
import type { Ack, Chunk, SharedContent } from "./wire.js";

const MOST_KEPT = 100; // files that can still be requested
const OFFER_DELAY = 200; // milliseconds: clients that come together get one announcement

/** FilesLink is what the files of a session need of the service. */
export interface FilesLink {
  /** The id by which this client finds itself among the clients; undefined while there is no connection. */
  id(): string | undefined;
  maxFileSize: number;
  autoFetchSize: number;
  sendChunk(chunk: Chunk): Promise<Ack>;
  offered(file: FileInfo, direction: "in" | "out", freshness: Freshness): void;
  held(file: FileInfo): void;
  progress(progress: FileProgress): void;
  complete(file: FileInfo, blob: Blob): void;
  failed(contentId: string, file: FileInfo | undefined, error: ShareError): void;
  delivered(file: FileInfo, clientId: string): void;
}

/** SessionFiles are the files of one session that come and go, and the signals about them. */
export class SessionFiles {
  readonly #outgoing = new Map<string, OutgoingFile>();
  readonly #incoming: IncomingFiles | undefined;
  /** The files of this client that were given up: others may have heard of them only afterwards. */
  readonly #givenUp = new Remembered(MOST_KEPT);
  readonly #newcomers = new Set<string>();
  /** The stream of the signals that this client sends. They go out one after the other, as they are numbered. */
  readonly #numbers = new Numbering();
  #signals: Promise<void> = Promise.resolve();
  #offering: AbortController | undefined;

  constructor(
    readonly membership: Membership,
    readonly link: FilesLink,
  ) {
    const { key, sessionId, clients } = membership;
    if (key === undefined) return;
    this.#incoming = new IncomingFiles({
      sessionId,
      key,
      maxFileSize: link.maxFileSize,
      autoFetchSize: link.autoFetchSize,
      joined: () => membership.joined,
      present: (clientId) => clients.has(clientId),
      signal: (signal) => this.#signal(key, signal),
      offered: (file, freshness) => link.offered(file, "in", freshness),
      held: (file) => link.held(file),
      progress: (progress) => link.progress(progress),
      complete: (file, blob) => link.complete(file, blob),
      failed: (contentId, file, error) => link.failed(contentId, file, error),
    });
  }

  /** offer takes the announcement of another client's file; late, if its chunks may have begun before. */
  offer(content: SharedContent, freshness: Freshness, late = false): void {
    const { contentId } = content;
    if (this.#outgoing.has(contentId) || this.#givenUp.has(contentId)) return;
    this.#incoming?.offer(content, freshness, late);
  }

  /** fetch asks for a file that was held back, and tells whether there is one. */
  fetch(contentId: string): boolean {
    return this.#incoming?.fetch(contentId) ?? false;
  }

  /** chunk takes a chunk of another client's file. */
  async chunk(chunk: Chunk, clientId: string | undefined): Promise<void> {
    await this.#incoming?.chunk(chunk, clientId);
  }

  /**
   * signal takes what another client says of a file: clientId, if the server says who has sent it. It throws a KeyError if
   * that cannot be decrypted.
   */
  async signal(key: CryptoKey, chunk: Chunk, clientId: string | undefined): Promise<void> {
    const { membership } = this;
    const opened = await openSignal(key, membership.sessionId, chunk);
    if (opened === undefined || membership.ended) return;
    const { signal, stamp, from = clientId } = opened;
    // Nobody speaks in the name of another, and nothing is said twice.
    if (clientId !== undefined && from !== clientId) return;
    if (stamp !== undefined && (stamp.stream === this.#numbers.stream || membership.marks.judge(stamp) !== "new")) return;
    const present = from !== undefined && membership.clients.has(from);
    switch (signal.type) {
      case "offer": {
        const senderId = from ?? signal.content.senderId;
        this.offer({ ...signal.content, senderId }, stamp === undefined ? "unknown" : "new", true);
        break;
      }
      case "cancel":
        this.#incoming?.cancel(signal.contentId, from);
        break;
      case "request":
        if (!present) break;
        this.#outgoing.get(signal.contentId)?.request(from, signal);
        if (this.#givenUp.has(signal.contentId)) this.#cancel(key, signal.contentId);
        break;
      case "received":
        if (present) this.#received(signal.contentId, from);
        break;
      case "back":
        if (present) this.joined(from);
        break;
    }
  }

  /** share sends a file that was announced, and resolves once the server has acknowledged all of it. */
  async share(
    file: Blob,
    content: SharedContent,
    info: FileInfo,
    key: CryptoKey,
    onProgress: ((progress: FileProgress) => void) | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { membership, link } = this;
    // It may have been left while the file was announced.
    if (membership.ended) return membership.ready();
    const outgoingLink: OutgoingLink = {
      sessionId: membership.sessionId,
      ready: () => membership.ready(),
      joined: () => membership.joined,
      others: () => [...membership.clients.values()].filter(({ id }) => id !== link.id()),
      send: (chunk) => link.sendChunk(chunk),
      signal: (key, signal) => this.#signal(key, signal),
      progress: (progress) => link.progress(progress),
    };
    const outgoing = new OutgoingFile(content, info, file, key, outgoingLink, onProgress);
    const abort = () => outgoing.fail(new TransferError("aborted", `"${info.name}" was cancelled.`));
    this.#keep(outgoing);
    signal?.addEventListener("abort", abort);
    try {
      const sent = outgoing.send();
      if (signal?.aborted) abort();
      await sent;
    } catch (error) {
      if (this.#outgoing.get(info.contentId) === outgoing) this.#outgoing.delete(info.contentId);
      this.#givenUp.add(info.contentId);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** renew lets a file be shared that was given up before, once what was said about that has gone out. */
  renew(contentId: string): Promise<void> | undefined {
    if (!this.#givenUp.has(contentId)) return undefined;
    this.#givenUp.delete(contentId);
    return this.#signals;
  }

  /** giveUp takes back a file that was announced, or may have been. */
  giveUp(key: CryptoKey, contentId: string): void {
    this.#givenUp.add(contentId);
    this.#cancel(key, contentId);
  }

  /** joined takes a newcomer into account: it gets to know which files there are. */
  joined(clientId: string): void {
    for (const file of this.#outgoing.values()) file.arrive(clientId);
    this.#newcomers.add(clientId);
    void this.#offerAll();
  }

  /** left takes into account that one has gone. */
  left(clientId: string): void {
    for (const file of this.#outgoing.values()) file.depart(clientId);
    this.#newcomers.delete(clientId);
    this.#incoming?.left(clientId);
  }

  /** interrupted takes into account that this client is away. Nothing is due before it is back. */
  interrupted(): void {
    this.#offering?.abort();
    this.#incoming?.interrupted();
    for (const file of this.#outgoing.values()) file.interrupted();
  }

  /** rejoined catches up after this client was away. */
  rejoined(): void {
    const { key, ownId } = this.membership;
    if (key !== undefined && ownId !== undefined && ownId !== this.link.id()) {
      // The others have not noticed. They hear of it before they are asked for anything.
      this.#signal(key, { type: "back" }, () => this.#incoming?.rejoined());
    } else {
      this.#incoming?.rejoined();
    }
    void this.#offerAll();
  }

  /** close ends all of it. */
  close(error: ShareError): void {
    this.#offering?.abort();
    this.#incoming?.close();
    for (const file of this.#outgoing.values()) file.close(error);
    this.#outgoing.clear();
  }

  #cancel(key: CryptoKey, contentId: string): void {
    this.#signal(key, () => (this.#givenUp.has(contentId) ? { type: "cancel", contentId } : undefined));
  }

  #received(contentId: string, clientId: string): void {
    const file = this.#outgoing.get(contentId);
    if (file !== undefined) this.link.delivered(file.info, clientId);
  }

  #keep(file: OutgoingFile): void {
    this.#outgoing.set(file.info.contentId, file);
    for (const [contentId, { complete }] of this.#outgoing) {
      if (this.#outgoing.size <= MOST_KEPT) break;
      if (complete) this.#outgoing.delete(contentId);
    }
  }

  async #offerAll(): Promise<void> {
    if (this.#offering !== undefined) return;
    const offering = new AbortController();
    this.#offering = offering;
    await after(OFFER_DELAY, offering.signal);
    this.#offering = undefined;
    if (offering.signal.aborted) return;
    const newcomers = [...this.#newcomers];
    this.#newcomers.clear();
    for (const { key, info } of [...this.#outgoing.values()]) {
      const { contentId } = info;
      const offer = (): Signal | undefined => {
        const file = this.#outgoing.get(contentId);
        return file && { type: "offer", content: file.content };
      };
      this.#signal(key, offer, () => {
        // What was sent before this was nothing to those who did not know the file.
        for (const id of newcomers) this.#outgoing.get(contentId)?.arrive(id);
      });
    }
  }

  /**
   * signal sends one where that is possible right now; what needs repeating is repeated by whoever needs it. `about` is
   * called as it goes out.
   */
  #signal(key: CryptoKey, signal: Signal | (() => Signal | undefined), about = () => {}): void {
    const { membership } = this;
    const send = async () => {
      const { joined, ownId } = membership;
      const said = typeof signal === "function" ? signal() : signal;
      if (!joined || ownId === undefined || said === undefined) return;
      const chunk = await sealSignal(key, membership.sessionId, ownId, this.#numbers.next(), said);
      if (!membership.joined || membership.ownId !== ownId) return;
      about();
      this.link.sendChunk(chunk).catch(() => undefined);
    };
    this.#signals = this.#signals.then(send).catch(() => undefined);
  }
}
