import type { FileInfo, FileProgress } from "./file.js";
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
  offered(file: FileInfo, direction: "in" | "out"): void;
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
  #offering = false;

  constructor(
    readonly membership: Membership,
    readonly link: FilesLink,
  ) {
    const { key, sessionId, seen } = membership;
    if (key === undefined) return;
    this.#incoming = new IncomingFiles({
      sessionId,
      key,
      seen,
      maxFileSize: link.maxFileSize,
      autoFetchSize: link.autoFetchSize,
      ownId: () => (membership.joined ? membership.ownId : undefined),
      signal: (signal) => this.#signal(key, signal),
      offered: (file) => link.offered(file, "in"),
      held: (file) => link.held(file),
      progress: (progress) => link.progress(progress),
      complete: (file, blob) => link.complete(file, blob),
      failed: (contentId, file, error) => link.failed(contentId, file, error),
    });
  }

  /** offer takes the announcement of another client's file; late, if its chunks may have begun before. */
  offer(content: SharedContent, late = false): void {
    if (!this.#outgoing.has(content.contentId)) this.#incoming?.offer(content, late);
  }

  /** fetch asks for a file that was held back, and tells whether there is one. */
  fetch(contentId: string): boolean {
    return this.#incoming?.fetch(contentId) ?? false;
  }

  /** chunk takes a chunk of another client's file. */
  async chunk(chunk: Chunk): Promise<void> {
    await this.#incoming?.chunk(chunk);
  }

  /** signal takes what another client says of a file. It throws a KeyError if that cannot be decrypted. */
  async signal(key: CryptoKey, chunk: Chunk): Promise<void> {
    const signal = await openSignal(key, this.membership.sessionId, chunk);
    switch (signal?.type) {
      case "offer":
        this.offer(signal.content, true);
        break;
      case "cancel":
        this.#incoming?.cancel(signal.contentId);
        break;
      case "request":
        this.#outgoing.get(signal.contentId)?.request(signal);
        if (this.#givenUp.has(signal.contentId)) this.#signal(key, { type: "cancel", contentId: signal.contentId });
        break;
      case "received":
        this.#received(signal.contentId, signal.from);
        break;
      case "back":
        this.joined(signal.from);
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
      this.#outgoing.delete(info.contentId);
      this.#givenUp.add(info.contentId);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
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
  }

  /** rejoined catches up after this client was away. */
  rejoined(): void {
    const { key, ownId } = this.membership;
    if (key !== undefined && ownId !== undefined && ownId !== this.link.id()) {
      // The others have not noticed. They hear of it before they are asked for anything.
      this.#signal(key, { type: "back", from: ownId }, () => this.#incoming?.rejoined());
    } else {
      this.#incoming?.rejoined();
    }
    void this.#offerAll();
  }

  /** close ends all of it. */
  close(error: ShareError): void {
    this.#incoming?.close();
    for (const file of this.#outgoing.values()) file.close(error);
    this.#outgoing.clear();
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
    if (this.#offering) return;
    this.#offering = true;
    await after(OFFER_DELAY);
    this.#offering = false;
    const newcomers = [...this.#newcomers];
    this.#newcomers.clear();
    for (const file of [...this.#outgoing.values()]) {
      this.#signal(file.key, { type: "offer", content: file.content }, () => {
        // What was sent before this was nothing to those who did not know the file.
        for (const id of newcomers) file.arrive(id);
      });
    }
  }

  /**
   * signal sends one where that is possible right now; what needs repeating is repeated by whoever needs it. `about` is
   * called as it goes out.
   */
  #signal(key: CryptoKey, signal: Signal, about = () => {}): void {
    const send = async () => {
      const chunk = await sealSignal(key, this.membership.sessionId, signal);
      if (!this.membership.joined) return;
      about();
      await this.link.sendChunk(chunk);
    };
    send().catch(() => undefined);
  }
}
