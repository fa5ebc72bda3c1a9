import {
  type Client,
  ConnectionError,
  type ContentInput,
  type Data,
  type FileInfo,
  type FileOptions,
  type Freshness,
  generateId,
  type JoinOptions,
  type ServiceEvents,
  type SharedContent,
  ShareError,
  type SocketService,
  TransferError,
} from "../index.js";

const MOST_ITEMS = 500;
const MOST_KEPT_BYTES = 1024 ** 3; // of received files
const PROGRESS_INTERVAL = 50; // milliseconds

/**
 * SessionStatus says how a session stands: `joining`, `joined`, `interrupted` (the connection was lost, and the session
 * will be joined again; the error says why, if the server puts it off), `failed` (see the error; nothing more is tried
 * until retry is called), or `left`.
 */
export type SessionStatus = "joining" | "joined" | "interrupted" | "failed" | "left";

/** ContentItem is a content other than a file that was shared, by another client or this one. */
export interface ContentItem {
  kind: "content";
  id: string;
  own: boolean;
  content: SharedContent;
  data: Data | undefined;
  /** The client that has sent it, by the server's word; undefined where an older server does not say. */
  clientId: string | undefined;
  freshness: Freshness;
  state: "sending" | "done" | "failed";
  error: ShareError | undefined;
}

/** FileItem is a file that was shared, by another client or this one. */
export interface FileItem {
  kind: "file";
  id: string;
  own: boolean;
  file: FileInfo;
  freshness: Freshness;
  /** How many bytes are done. */
  bytes: number;
  /**
   * `moving`, `held` (it was sent earlier, and is so large that fetch has to ask for it), `done`, or `failed`. A file that
   * is unavailable is moving again when its sender is back.
   */
  state: "moving" | "held" | "done" | "failed";
  error: ShareError | undefined;
  /**
   * The file, once it is done: the one that was shared, or the one that was received. One that was received gives way when
   * there is too much of them: it is undefined then, and the error says `released`. Whoever made an address for it with
   * URL.createObjectURL has to revoke that to have the bytes given back.
   */
  blob: Blob | undefined;
  /** The ids of the clients that have it, whole, if it is this client's. */
  deliveredTo: readonly string[];
}

export type Item = ContentItem | FileItem;

/** SessionState is what a session looks like at one moment. It does not change; a new one takes its place. */
export interface SessionState {
  status: SessionStatus;
  /** Why it failed, or why it cannot be joined right now. */
  error: ShareError | undefined;
  /** Who is there, this client included. */
  clients: readonly Client[];
  /** This client's id, while it is in. */
  ownId: string | undefined;
  /** What was shared, the oldest first, and of the latest only so many. */
  items: readonly Item[];
}

/** SessionStore keeps the state of one session up to date, from the service's events, while somebody looks at it. */
export class SessionStore {
  readonly #listeners = new Set<() => void>();
  readonly #controllers = new Map<string, AbortController>();
  readonly #blobs = new Map<string, Blob>();
  readonly #progress = new Map<string, number>();
  #progressTimer: ReturnType<typeof setTimeout> | undefined;
  #state: SessionState = { status: "joining", error: undefined, clients: [], ownId: undefined, items: [] };
  #removers: (() => void)[] | undefined;
  /** Whether the service is in the session, or goes back into it once there is a connection. */
  #member = false;

  constructor(
    readonly service: SocketService,
    readonly sessionId: string,
    readonly name: string,
    readonly options: JoinOptions,
    readonly maxKeptBytes = MOST_KEPT_BYTES,
  ) {}

  readonly snapshot = (): SessionState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  get started(): boolean {
    return this.#removers !== undefined;
  }

  /** start joins the session. */
  start(): void {
    if (this.started) return;
    this.#removers = this.#listen();
    this.#set({ status: "joining", error: undefined });
    void this.#join();
  }

  /** stop leaves the session. */
  stop(): void {
    if (!this.started) return;
    for (const remove of this.#removers!) remove();
    this.#removers = undefined;
    clearTimeout(this.#progressTimer);
    this.#progressTimer = undefined;
    void this.service.leaveSession(this.sessionId);
    this.#member = false;
    this.#set({ status: "left", clients: [], ownId: undefined });
  }

  /** retry joins again after it has failed. */
  readonly retry = (): void => {
    if (!this.started || this.#state.status !== "failed") return;
    this.#set({ status: this.#member ? "interrupted" : "joining", error: undefined });
    if (this.#member) this.service.connect();
    else void this.#join();
  };

  readonly shareText = (text: string): Promise<void> => this.shareContent({ contentType: "text" }, text);

  readonly shareContent = async (input: ContentInput, data?: Data): Promise<void> => {
    const id = input.contentId ?? generateId();
    const content: SharedContent = {
      timestamp: Date.now(),
      ...input,
      contentId: id,
      senderId: this.service.id ?? "",
      senderName: this.name,
    };
    const clientId = this.service.id;
    this.#put({
      kind: "content",
      id,
      own: true,
      content,
      data,
      clientId,
      freshness: "new",
      state: "sending",
      error: undefined,
    });
    try {
      const described = await this.service.shareContent(this.sessionId, { ...input, contentId: id }, data);
      this.#change(id, { content: described, state: "done" });
    } catch (error) {
      this.#change(id, { state: "failed", error: error as ShareError });
    }
  };

  readonly shareFile = async (file: Blob & { name?: string }, options: FileOptions = {}): Promise<void> => {
    const id = options.contentId ?? generateId();
    const controller = new AbortController();
    const abort = () => controller.abort();
    if (options.signal?.aborted) abort();
    options.signal?.addEventListener("abort", abort);
    this.#controllers.set(id, controller);
    this.#blobs.set(id, file);
    try {
      await this.service.shareFile(this.sessionId, file, { ...options, contentId: id, signal: controller.signal });
      this.#change(id, { state: "done", bytes: file.size, blob: file });
    } catch {
      // The event "file-error" has told; what was refused before there was a file to show is told here.
    } finally {
      options.signal?.removeEventListener("abort", abort);
      this.#controllers.delete(id);
      this.#blobs.delete(id);
    }
  };

  /** fetch asks for a file that is held. */
  readonly fetch = (id: string): void => {
    try {
      this.service.fetchFile(this.sessionId, id);
      this.#change(id, { state: "moving", error: undefined });
    } catch (error) {
      this.#change(id, { state: "failed", error: error as ShareError });
    }
  };

  /** cancel ends the sending of a file. */
  readonly cancel = (id: string): void => this.#controllers.get(id)?.abort();

  async #join(): Promise<void> {
    while (this.#state.status === "joining" && this.started) {
      try {
        const clients = await this.service.joinSession(this.sessionId, this.name, this.options);
        this.#member = true;
        this.#set({ status: "joined", error: undefined, clients, ownId: this.service.id });
      } catch (error) {
        if (!this.started) return;
        const shareError = error instanceof ShareError ? error : new ShareError("unexpected", String(error));
        // A server that cannot be reached is tried until it can; what it has decided stays.
        const again = error instanceof ConnectionError && error.code === "timeout";
        this.#set({ status: again ? "joining" : "failed", error: shareError });
      }
    }
  }

  #listen(): (() => void)[] {
    const { service } = this;
    // Events of this session only.
    const on = <Name extends SessionEvent>(name: Name, listener: (value: ServiceEvents[Name]) => void) =>
      service.on(name, (value) => {
        if (value.sessionId === this.sessionId) listener(value);
      });
    const refresh = () => this.#set({ clients: service.clients(this.sessionId) });
    return [
      service.on("disconnect", () => {
        if (this.#state.status === "joined") this.#set({ status: "interrupted", ownId: undefined });
      }),
      service.on("connection-error", (error) => {
        if (this.#state.status !== "joined") this.#set({ error });
      }),
      service.on("connection-ended", (error) => this.#set({ status: "failed", error, ownId: undefined })),
      on("session-rejoin-delayed", ({ error }) => this.#set({ error })),
      on("session-rejoined", ({ clients }) => {
        this.#set({ status: "joined", error: undefined, clients, ownId: service.id });
      }),
      on("session-rejoin-failed", ({ error }) => {
        this.#member = false;
        this.#set({ status: "failed", error, clients: [], ownId: undefined });
      }),
      on("client-joined", refresh),
      on("client-left", refresh),
      on("content", ({ content, data, clientId, freshness }) => {
        this.#put({
          kind: "content",
          id: content.contentId,
          own: false,
          content,
          data,
          clientId,
          freshness,
          state: "done",
          error: undefined,
        });
      }),
      on("file-offered", ({ file, direction, freshness }) => {
        const own = direction === "out";
        this.#put({
          kind: "file",
          id: file.contentId,
          own,
          file,
          freshness,
          bytes: 0,
          state: "moving",
          error: undefined,
          blob: this.#blobs.get(file.contentId),
          deliveredTo: [],
        });
      }),
      on("file-held", ({ file }) => this.#change(file.contentId, { state: "held" })),
      on("file-progress", ({ file, bytes }) => this.#progressed(file.contentId, bytes)),
      on("file", ({ file, blob }) => {
        this.#change(file.contentId, { state: "done", bytes: file.size, blob, error: undefined });
        this.#release(file.contentId);
      }),
      on("file-error", ({ contentId, file, error }) => {
        if (this.#has(contentId)) this.#change(contentId, { state: "failed", error });
        else if (file !== undefined) {
          this.#put({
            kind: "file",
            id: contentId,
            own: false,
            file,
            freshness: "unknown",
            bytes: 0,
            state: "failed",
            error,
            blob: undefined,
            deliveredTo: [],
          });
        }
      }),
      on("file-delivered", ({ file, clientId }) => {
        const item = this.#state.items.find(({ id }) => id === file.contentId);
        if (item?.kind !== "file" || item.deliveredTo.includes(clientId)) return;
        this.#change(item.id, { deliveredTo: [...item.deliveredTo, clientId] });
      }),
    ];
  }

  /** release lets go of the oldest of the received files while there are too many bytes of them; not of the latest. */
  #release(latest: string): void {
    const kept = this.#state.items.filter(
      (item): item is FileItem => item.kind === "file" && !item.own && item.blob !== undefined,
    );
    let bytes = kept.reduce((sum, { file }) => sum + file.size, 0);
    for (const { id, file } of kept) {
      if (bytes <= this.maxKeptBytes || id === latest) continue;
      bytes -= file.size;
      const error = new TransferError("released", `"${file.name}" has given way to files that came later.`);
      this.#change(id, { blob: undefined, error });
    }
  }

  #has(id: string): boolean {
    return this.#state.items.some((item) => item.id === id);
  }

  #put(item: Item): void {
    this.#set({ items: [...this.#state.items.filter(({ id }) => id !== item.id), item].slice(-MOST_ITEMS) });
  }

  #change(id: string, change: Partial<ContentItem> | Partial<FileItem>): void {
    this.#progress.delete(id);
    this.#set({ items: this.#state.items.map((item) => (item.id === id ? ({ ...item, ...change } as Item) : item)) });
  }

  /** progressed collects what comes many times a second. */
  #progressed(id: string, bytes: number): void {
    this.#progress.set(id, bytes);
    this.#progressTimer ??= setTimeout(() => {
      this.#progressTimer = undefined;
      const items = this.#state.items.map((item): Item => {
        const bytes = this.#progress.get(item.id);
        if (bytes === undefined || item.kind !== "file" || item.state === "done") return item;
        return { ...item, bytes, state: "moving", error: undefined };
      });
      this.#progress.clear();
      this.#set({ items });
    }, PROGRESS_INTERVAL);
  }

  #set(change: Partial<SessionState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}

type SessionEvent = {
  [Name in keyof ServiceEvents]: ServiceEvents[Name] extends { sessionId: string } ? Name : never;
}[keyof ServiceEvents];
