import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { toBytes, utf8 } from "./bytes.js";
import { generateId, importKey, type Key } from "./crypto.js";
import { type Data, ENCRYPTION, isEnvelope, openContent, sealContent } from "./envelope.js";
import { Emitter, type Listener } from "./emitter.js";
import {
  ConnectionError,
  ContentError,
  KeyError,
  SessionError,
  ShareError,
  TransferError,
} from "./errors.js";
import type { ServiceEvents } from "./events.js";
import { describeFile, type FileInfo, isFile, LARGEST_FILE, readFileInfo } from "./file.js";
import { SessionFiles } from "./files.js";
import { type Freshness, Marks, type MarkStorage, MemoryStorage, type Stamp, tabStorage } from "./freshness.js";
import { Membership } from "./membership.js";
import { Outbox, type Prepare } from "./outbox.js";
import { Requests } from "./requests.js";
import { isSignal } from "./signal.js";
import type { Entry, FileOptions, JoinOptions, ServiceOptions } from "./options.js";
import { Batches, parts, Throttles } from "./pacing.js";
import { mayPass, Returning } from "./returning.js";
import { after, Deferred, Pauses } from "./waiting.js";
import {
  type Ack,
  type Client,
  type ContentInput,
  isContentId,
  isFields,
  isText,
  readChunk,
  readContent,
  readError,
  type SharedContent,
} from "./wire.js";

const ACK_TIMEOUT = 60_000;
// A server that lets receivers catch up answers late. If it is gone, the heartbeat says so.
const CHUNK_PATIENCE = 5;
const JOIN_TIMEOUT = 20_000;
const MAX_FILE_SIZE = 1024 ** 3;
const AUTO_FETCH_SIZE = 10_000_000;
const MAX_BATCH = 100;
const MAX_CONTENT_SIZE = 900_000;
const RECONNECTION_DELAY = 500;
const RECONNECTION_DELAY_MOST = 5000;
const THROTTLE_INTERVAL = 100;
const BATCH_DELAY = 50;

interface Member {
  membership: Membership;
  outbox: Outbox;
  /** The asking to join on this connection: there is one at a time. Undefined before it, and without a connection. */
  joining: AbortController | undefined;
  /** Whether the server has been asked to let it join, and has not answered. */
  asked: boolean;
  /** Whether the server has done what the joining that was given up asked for last: to leave. */
  left: Promise<boolean> | undefined;
  files: SessionFiles;
  /** Settles with the first join. */
  first: Deferred<Client[]>;
  /** Contents are opened one after the other, so that they stay in order. */
  inbox: Promise<unknown>;
}

/** Parcel is a content that is to be sent. */
interface Parcel {
  content: SharedContent;
  data: Data | undefined;
  key: CryptoKey | undefined;
  /** It keeps its stamp when it is sent again: then it is a repetition. */
  stamp: Stamp | undefined;
}

/**
 * SocketService is a connection to a server of shared sessions, and this client's part in them. It connects, comes back
 * after a lost connection, and joins its sessions again; what is sent meanwhile waits for that.
 */
export class SocketService {
  readonly #socket: Socket;
  readonly #emitter = new Emitter<ServiceEvents>();
  readonly #members = new Map<string, Member>();
  /** The calls of joinSession that wait for their key. To leave takes them back. */
  readonly #entering = new Map<string, object>();
  readonly #options: Required<
    Pick<ServiceOptions, "joinTimeout" | "maxFileSize" | "autoFetchSize" | "maxContentSize" | "maxBatch">
  >;
  readonly #requests: Requests;
  readonly #throttles: Throttles;
  readonly #batches: Batches;
  readonly #returning: Returning;
  readonly #pauses: () => Pauses;
  readonly #storage: MarkStorage;

  constructor(options: ServiceOptions = {}) {
    this.#options = {
      joinTimeout: options.joinTimeout ?? JOIN_TIMEOUT,
      maxFileSize: options.maxFileSize ?? MAX_FILE_SIZE,
      autoFetchSize: options.autoFetchSize ?? AUTO_FETCH_SIZE,
      maxContentSize: options.maxContentSize ?? MAX_CONTENT_SIZE,
      maxBatch: options.maxBatch ?? MAX_BATCH,
    };
    const { reconnectionDelay = RECONNECTION_DELAY, reconnectionDelayMax = RECONNECTION_DELAY_MOST } =
      options.socket ?? {};
    const settings: Partial<ManagerOptions & SocketOptions> = {
      ...options.socket,
      reconnectionDelay,
      reconnectionDelayMax,
      autoConnect: options.autoConnect ?? true,
    };
    this.#storage = options.storage ?? tabStorage() ?? new MemoryStorage();
    if (options.path !== undefined) settings.path = options.path;
    const failed = (sessionId: string, error: unknown) => {
      this.#emitter.emit("send-error", { sessionId, error: asShareError(error) });
    };
    this.#throttles = new Throttles(
      (sessionId, content, data) => this.#shareVolatile(sessionId, content, data),
      failed,
    );
    this.#batches = new Batches((sessionId, entries) => this.batch(sessionId, entries), failed);
    this.#socket = options.url === undefined ? io(settings) : io(options.url, settings);
    this.#requests = new Requests(this.#socket, options.ackTimeout ?? ACK_TIMEOUT);
    this.#pauses = () => new Pauses(reconnectionDelay, reconnectionDelayMax);
    const ended = (error: ConnectionError) => this.#connectionEnded(error);
    this.#returning = new Returning(this.#socket, this.#pauses(), ended, options.autoConnect ?? true);
    this.#listen();
  }

  /** Whether there is a connection right now. */
  get connected(): boolean {
    return this.#socket.connected;
  }

  /** The id of the connection, which is this client's id in its sessions; undefined without one. */
  get id(): string | undefined {
    return this.#socket.id;
  }

  /** The way the connection takes: "polling", "websocket", or "" without one. */
  get transport(): string {
    return this.#socket.connected ? this.#socket.io.engine.transport.name : "";
  }

  /** connect connects, if it is not done or under way already. */
  connect(): void {
    this.#returning.connect();
  }

  /** disconnect ends the connection until connect is called. The sessions are joined again then. */
  disconnect(): void {
    this.#returning.disconnect();
  }

  /** close leaves all sessions and ends the connection for good. */
  close(): void {
    this.#entering.clear();
    for (const sessionId of [...this.#members.keys()]) void this.leaveSession(sessionId);
    this.disconnect();
  }

  /** on adds a listener and returns the function that removes it again. */
  on<Name extends keyof ServiceEvents>(name: Name, listener: Listener<ServiceEvents[Name]>): () => void {
    return this.#emitter.on(name, listener);
  }

  /** once adds a listener for the next time only, and returns the function that removes it sooner. */
  once<Name extends keyof ServiceEvents>(name: Name, listener: Listener<ServiceEvents[Name]>): () => void {
    return this.#emitter.once(name, listener);
  }

  /** off removes a listener, or all of an event's when none is given. */
  off<Name extends keyof ServiceEvents>(name: Name, listener?: Listener<ServiceEvents[Name]>): void {
    this.#emitter.off(name, listener);
  }

  /** clients returns who is in a session, as far as this client knows; nobody, if it is not in it. */
  clients(sessionId: string): Client[] {
    return [...(this.#members.get(sessionId)?.membership.clients.values() ?? [])];
  }

  /**
   * joinSession joins a session and returns who is in it, this client included. It connects if need be. After a lost
   * connection the session is joined again by itself. Throws SessionError, ConnectionError or KeyError.
   */
  async joinSession(sessionId: string, name: string, options: JoinOptions = {}): Promise<Client[]> {
    if (this.#members.has(sessionId) || this.#entering.has(sessionId)) throw alreadyJoined(sessionId);
    // Before anything is waited for: a call of disconnect that comes after this one holds.
    this.connect();
    const key = options.key === undefined ? undefined : await this.#entry(sessionId, options.key);
    const marks = new Marks(this.#storage, sessionId);
    const membership = new Membership({ sessionId, name, key, fingerprint: options.fingerprint, marks });
    const member: Member = {
      membership,
      outbox: new Outbox(membership),
      joining: undefined,
      asked: false,
      left: undefined,
      files: this.#files(membership),
      first: new Deferred<Client[]>(),
      inbox: Promise.resolve(),
    };
    this.#members.set(sessionId, member);
    const late = new ConnectionError(
      "timeout",
      `The server did not let us join within ${this.#options.joinTimeout} ms.`,
    );
    const timer = setTimeout(() => {
      // What the server still has to answer to is taken back.
      if (member.asked) void this.#leave(member);
      this.#drop(member, late);
    }, this.#options.joinTimeout);
    void this.#join(member);
    try {
      return await member.first.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** leaveSession leaves a session; what was waiting to be sent there is given up. Leaving twice does nothing. */
  async leaveSession(sessionId: string): Promise<void> {
    this.#entering.delete(sessionId);
    const member = this.#members.get(sessionId);
    if (member === undefined) return;
    const there = this.#socket.connected && (member.asked || member.membership.joined);
    this.#drop(member, wasLeft(sessionId));
    if (there) await this.#leave(member);
  }

  /**
   * shareContent shares a content and, besides its description, data: text or bytes. It resolves with the whole
   * description once the server has acknowledged it, after a reconnect if need be.
   */
  async shareContent(sessionId: string, content: ContentInput, data?: Data): Promise<SharedContent> {
    const member = this.#member(sessionId);
    const parcel = this.#parcel(member.membership, content, data);
    await this.#send(member, parcel);
    return parcel.content;
  }

  /**
   * shareFile sends a file in encrypted chunks and resolves once the server has acknowledged all of them. After a lost
   * connection it goes on from the chunk that was acknowledged last. While this client stays in the session, others can
   * get what they have missed of it, so the file must not be changed.
   */
  async shareFile(sessionId: string, file: Blob & { name?: string }, options: FileOptions = {}): Promise<FileInfo> {
    const member = this.#member(sessionId);
    const { membership, files } = member;
    const { signal, onProgress } = options;
    const key = options.key === undefined ? membership.key : await importKey(options.key);
    if (key === undefined) throw new KeyError("no_key", "A file needs a key, of the session or of its own.");
    const contentId = checkedId(options.contentId ?? generateId());
    const sender = { contentId, senderId: membership.ownId ?? this.#socket.id ?? "", senderName: membership.name };
    const name = options.name ?? file.name ?? "";
    if (file.size > LARGEST_FILE) {
      throw new TransferError("too_large", `"${name}" has more than ${LARGEST_FILE} bytes, which is all that can be sent.`);
    }
    const content = describeFile(file, sender, name);
    const info = readFileInfo(content)!;
    membership.seen.add(contentId);
    this.#emitter.emit("file-offered", { sessionId, file: info, direction: "out", freshness: "new" });
    const aborted = () => new TransferError("aborted", `"${info.name}" was cancelled.`);
    try {
      const renewed = files.renew(contentId);
      if (renewed !== undefined) await renewed;
      if (signal?.aborted) throw aborted();
      try {
        await this.#send(member, { content, data: undefined, key, stamp: undefined }, {}, signal);
      } catch (error) {
        if (!signal?.aborted) throw error;
        files.giveUp(key, contentId);
        throw aborted();
      }
      // Its sender may have another id by now.
      info.senderId = content.senderId;
      await files.share(file, content, info, key, onProgress, signal);
    } catch (error) {
      this.#emitter.emit("file-error", { sessionId, contentId, file: info, error: asShareError(error) });
      throw error;
    }
    return info;
  }

  /** fetchFile asks for a file that was held back, or had become unavailable. */
  fetchFile(sessionId: string, contentId: string): void {
    if (!this.#member(sessionId).files.fetch(contentId)) {
      throw new TransferError("unavailable", "There is no such file, or it has arrived already.");
    }
  }

  /**
   * batch shares several contents at once, in order, and resolves once the server has acknowledged them. It throws the
   * first refusal; the entries after that may have been accepted.
   */
  async batch(sessionId: string, entries: readonly Entry[]): Promise<SharedContent[]> {
    const { membership, outbox } = this.#member(sessionId);
    const parcels = entries.map(({ content, data }) => this.#parcel(membership, content, data));
    const limits = { entries: this.#options.maxBatch, bytes: this.#options.maxContentSize };
    const weigh = ({ content, data, key }: Parcel) => ({
      bytes: weight(content, data),
      binary: key !== undefined || data instanceof Uint8Array,
    });
    for (const part of parts(parcels, limits, weigh)) {
      const bytes = part.reduce((sum, parcel) => sum + weigh(parcel).bytes, 0);
      await outbox.send(bytes, async () => {
        const wire = await Promise.all(part.map((parcel) => this.#wire(membership, parcel)));
        const batch = () => wire.map((data) => ({ event: "content", data: this.#addressed(membership, data) }));
        return () => this.#requests.request("batch", batch());
      });
    }
    return parcels.map(({ content }) => content);
  }

  /**
   * sendThrottled shares a content that soon is out of date, such as a position: the first at once, then at most one an
   * interval (milliseconds, default 100), always the latest. Contents of one `contentType` replace each other.
   */
  sendThrottled(sessionId: string, content: ContentInput, data?: Data, interval = THROTTLE_INTERVAL): void {
    this.#member(sessionId);
    this.#throttles.add(sessionId, content, data, interval);
  }

  /** sendBatched shares a content together with the others of the next moment (milliseconds, default 50). */
  sendBatched(sessionId: string, content: ContentInput, data?: Data, delay = BATCH_DELAY): void {
    this.#member(sessionId);
    this.#batches.add(sessionId, data === undefined ? { content } : { content, data }, delay);
  }

  // --- Receiving -------------------------------------------------------------

  #listen(): void {
    const socket = this.#socket;
    socket.on("connect", () => {
      this.#returning.connected();
      this.#emitter.emit("connect", { id: socket.id ?? "" });
      for (const member of this.#members.values()) void this.#join(member);
    });
    socket.on("disconnect", (reason) => {
      for (const member of this.#members.values()) {
        member.membership.interrupt();
        member.joining?.abort();
        member.joining = undefined;
        member.files.interrupted();
      }
      // It is decided before the page hears of it, which may call connect.
      const ended = this.#returning.lost(reason);
      this.#emitter.emit("disconnect", { reason });
      if (ended !== undefined) this.#connectionEnded(ended);
    });
    socket.on("connect_error", (cause) => {
      const error = socket.active
        ? new ConnectionError("connect_failed", `The server cannot be reached: ${cause.message}`, { cause })
        : this.#returning.refused(cause);
      this.#emitter.emit("connection-error", error);
    });
    socket.on("error", (value: unknown) => {
      this.#emitter.emit("server-error", readError(value));
      this.#replaced(value);
    });
    socket.on("client-joined", (value: unknown) => this.#clientJoined(value));
    socket.on("client-left", (value: unknown) => this.#clientLeft(value));
    socket.on("content", (value: unknown) => this.#received(value, (member, fields) => this.#content(member, fields)));
    socket.on("chunk", (value: unknown) => this.#chunk(value));
  }

  /** connectionEnded gives up what waits for the first time to be let in; the sessions that were joined wait for connect. */
  #connectionEnded(error: ConnectionError): void {
    for (const member of [...this.#members.values()]) {
      if (!member.membership.wasJoined) this.#drop(member, error);
    }
    this.#emitter.emit("connection-ended", error);
  }

  /** replaced ends a session that this client is in on another connection. To come back would only end that one. */
  #replaced(value: unknown): void {
    if (!isFields(value) || value.code !== "replaced" || !isText(value.sessionId)) return;
    const { sessionId } = value;
    const member = this.#members.get(sessionId);
    if (member === undefined) return;
    const error = new SessionError("replaced", readError(value).message);
    this.#drop(member, error);
    this.#emitter.emit("session-rejoin-failed", { sessionId, error });
  }

  #clientJoined(value: unknown): void {
    if (!isFields(value) || !isText(value.sessionId) || !isText(value.clientId)) return;
    const { sessionId, clientId } = value;
    const member = this.#members.get(sessionId);
    if (member === undefined) return;
    const clientName = isText(value.clientName) ? value.clientName : "";
    member.membership.clients.set(clientId, { id: clientId, name: clientName });
    member.files.joined(clientId);
    this.#emitter.emit("client-joined", { sessionId, clientId, clientName });
  }

  #clientLeft(value: unknown): void {
    if (!isFields(value) || !isText(value.sessionId) || !isText(value.clientId)) return;
    const { sessionId, clientId } = value;
    const member = this.#members.get(sessionId);
    if (member === undefined) return;
    member.membership.clients.delete(clientId);
    member.files.left(clientId);
    this.#emitter.emit("client-left", { sessionId, clientId });
  }

  /** received hands on what came for a session, one after the other. */
  #received(value: unknown, handle: (member: Member, fields: Record<string, unknown>) => Promise<void>): void {
    if (!isFields(value) || !isText(value.sessionId)) return;
    const member = this.#members.get(value.sessionId);
    if (member === undefined) return;
    const { sessionId } = value;
    member.inbox = member.inbox
      .then(() => handle(member, value))
      .catch((error: unknown) => {
        const contentId =
          isFields(value.content) && isText(value.content.contentId) ? value.content.contentId : undefined;
        this.#emitter.emit("content-error", { sessionId, contentId, error: asShareError(error) });
      });
  }

  async #content({ membership, files }: Member, fields: Record<string, unknown>): Promise<void> {
    const { sessionId, key, seen } = membership;
    const clientId = isText(fields.clientId) ? fields.clientId : undefined;
    let content: SharedContent | undefined;
    let data: Data | undefined;
    let freshness: Freshness = "unknown";
    if (isFields(fields.content) && isText(fields.content.contentId)) checkedId(fields.content.contentId);
    if (isEnvelope(fields.content)) {
      if (key === undefined)
        throw new KeyError("no_key", "An encrypted content came, and the session has no key here.");
      if (seen.has(fields.content.contentId)) return;
      const opened = await openContent(key, sessionId, fields.content, fields.data);
      if (membership.ended) return;
      ({ content, data } = opened);
      if (opened.stamp !== undefined) {
        // Nobody speaks in the name of another, and what this client has sent does not come from others.
        if (clientId !== undefined && content.senderId !== clientId) {
          throw new ContentError("wrong_sender", "A content was dropped: its sender is not who has sent it.");
        }
        if (opened.stamp.stream === membership.numbers.stream) return;
        const judged = membership.marks.judge(opened.stamp);
        if (judged === "repeated") return;
        freshness = judged;
      }
    } else if (key !== undefined) {
      // Whoever has no key must not be able to say something in its name.
      throw new ContentError("not_encrypted", `A content that is not encrypted (${ENCRYPTION}) was dropped.`);
    } else {
      content = readContent(fields.content);
      data = typeof fields.data === "string" ? fields.data : toBytes(fields.data);
    }
    if (membership.ended) return;
    if (content === undefined) throw new ContentError("invalid", "A content without an id or a type was dropped.");
    if (isFile(content) && key !== undefined) {
      if (clientId !== undefined) content.senderId = clientId;
      files.offer(content, freshness);
    } else if (seen.add(content.contentId)) {
      this.#emitter.emit("content", { sessionId, content, data, clientId, freshness });
    }
  }

  #chunk(value: unknown): void {
    if (!isFields(value) || !isText(value.sessionId)) return;
    const member = this.#members.get(value.sessionId);
    const chunk = readChunk(value.chunk);
    const key = member?.membership.key;
    if (member === undefined || chunk === undefined || key === undefined) return;
    const clientId = isText(value.clientId) ? value.clientId : undefined;
    // The announcement that came before it is to be read before it.
    if (!isSignal(chunk)) {
      void member.inbox.then(() => member.files.chunk(chunk, clientId));
      return;
    }
    member.inbox = member.inbox
      .then(() => member.files.signal(key, chunk, clientId))
      .catch(() => {
        // Somebody with another key talks of a file of theirs.
      });
  }

  // --- Sending ---------------------------------------------------------------

  #files(membership: Membership): SessionFiles {
    const { sessionId } = membership;
    const emitter = this.#emitter;
    return new SessionFiles(membership, {
      id: () => (this.#socket.connected ? this.#socket.id : undefined),
      maxFileSize: this.#options.maxFileSize,
      autoFetchSize: this.#options.autoFetchSize,
      sendChunk: (chunk) => this.#requests.request("chunk", this.#addressed(membership, { chunk }), CHUNK_PATIENCE),
      offered: (file, direction, freshness) => emitter.emit("file-offered", { sessionId, file, direction, freshness }),
      held: (file) => emitter.emit("file-held", { sessionId, file }),
      progress: (progress) => emitter.emit("file-progress", { sessionId, ...progress }),
      complete: (file, blob) => emitter.emit("file", { sessionId, file, blob }),
      failed: (contentId, file, error) => emitter.emit("file-error", { sessionId, contentId, file, error }),
      delivered: (file, clientId) => emitter.emit("file-delivered", { sessionId, file, clientId }),
    });
  }

  #member(sessionId: string): Member {
    const member = this.#members.get(sessionId);
    if (member === undefined) throw new SessionError("not_joined", `The session ${sessionId} was not joined.`);
    return member;
  }

  /** entry imports the key of a session that is about to be joined, and throws if it was left meanwhile. */
  async #entry(sessionId: string, key: Key): Promise<CryptoKey> {
    const entering = {};
    this.#entering.set(sessionId, entering);
    try {
      const imported = await importKey(key);
      if (this.#entering.get(sessionId) !== entering) throw wasLeft(sessionId);
      return imported;
    } finally {
      if (this.#entering.get(sessionId) === entering) this.#entering.delete(sessionId);
    }
  }

  /** join asks to join, and asks again where a refusal may pass: of a session that is full, only who was in it. */
  async #join(member: Member): Promise<void> {
    const { membership, files, first } = member;
    const { sessionId, name: clientName, fingerprint, token } = membership;
    const { id } = this.#socket;
    if (member.joining !== undefined || id === undefined) return;
    const joining = new AbortController();
    member.joining = joining;
    const current = () => !membership.ended && this.#socket.connected && member.joining === joining;
    const request = {
      sessionId,
      clientName,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      ...(token === undefined ? {} : { token }),
    };
    const again = membership.wasJoined;
    const pauses = this.#pauses();
    while (current()) {
      let ack: Ack;
      member.asked = true;
      try {
        ack = await this.#requests.request("join", request);
      } catch {
        continue;
      } finally {
        member.asked = false;
      }
      if (!current()) {
        if (ack.success) await this.#leaveLate(member, id);
        return;
      }
      if (ack.success) {
        const clients = ack.clients ?? [];
        membership.enter(clients, ack.token, id);
        this.#returning.joined();
        first.resolve(clients);
        if (again) {
          files.rejoined();
          this.#emitter.emit("session-rejoined", { sessionId, clients });
        }
        return;
      }
      const error = new SessionError(ack.code ?? "refused", ack.error ?? "The server did not let us join.");
      if (again ? !mayPass(ack.code) : ack.code !== "throttled") {
        this.#drop(member, error);
        if (again) this.#emitter.emit("session-rejoin-failed", { sessionId, error });
        return;
      }
      if (again) this.#emitter.emit("session-rejoin-delayed", { sessionId, error });
      await after(pauses.next(), joining.signal);
    }
  }

  async #leave(member: Member): Promise<void> {
    const { sessionId } = member.membership;
    // A lost connection has left the session too.
    const answered = this.#requests.request("leave", { sessionId });
    member.left = answered.then(({ success }) => success, () => true);
    await member.left;
  }

  /** leaveLate undoes a join that a server has carried out only after it was asked to undo it. */
  async #leaveLate(member: Member, id: string): Promise<void> {
    if (!member.membership.ended || (await member.left) !== false) return;
    if (this.#socket.id === id && !this.#members.has(member.membership.sessionId)) await this.#leave(member);
  }

  #drop(member: Member, error: ShareError): void {
    const { membership, files, first } = member;
    const { sessionId } = membership;
    if (this.#members.get(sessionId) === member) this.#members.delete(sessionId);
    membership.end(error instanceof SessionError ? error : new SessionError("left", error.message));
    member.joining?.abort();
    files.close(error);
    first.reject(error);
    this.#throttles.forget(sessionId);
    this.#batches.forget(sessionId);
  }

  #parcel({ seen, key, ownId, name }: Membership, content: ContentInput, data: Data | undefined): Parcel {
    const described: SharedContent = {
      totalSize: typeof data === "string" ? utf8(data).byteLength : (data?.byteLength ?? 0),
      isChunked: false,
      timestamp: Date.now(),
      contentId: generateId(),
      ...content,
      senderId: ownId ?? this.#socket.id ?? "",
      senderName: name,
    };
    checkedId(described.contentId);
    const { maxContentSize } = this.#options;
    if (weight(described, data) > maxContentSize) {
      throw new ContentError("too_large", `A content has more than ${maxContentSize} bytes: share it as a file.`);
    }
    seen.add(described.contentId);
    return { content: described, data, key, stamp: undefined };
  }

  /** shareVolatile shares a content that the server may drop where it does not get through at once. */
  async #shareVolatile(sessionId: string, content: ContentInput, data: Data | undefined): Promise<void> {
    const member = this.#member(sessionId);
    try {
      await this.#send(member, this.#parcel(member.membership, content, data), { volatile: true });
    } catch (error) {
      if (!(error instanceof SessionError && error.code === "throttled")) throw error;
    }
  }

  /** wire makes of a parcel what goes over the wire, from this client as the others know it now. */
  async #wire(membership: Membership, parcel: Parcel): Promise<Record<string, unknown>> {
    const { sessionId, ownId = "", numbers, marks } = membership;
    const { content, data, key } = parcel;
    content.senderId = ownId;
    if (key === undefined) return data === undefined ? { content } : { content, data };
    if (parcel.stamp === undefined) marks.sent((parcel.stamp = numbers.next()));
    return { ...(await sealContent(key, sessionId, content, data, parcel.stamp)) };
  }

  async #send({ membership, outbox }: Member, parcel: Parcel, more: object = {}, signal?: AbortSignal): Promise<void> {
    const prepare: Prepare = async () => {
      const payload = { ...(await this.#wire(membership, parcel)), ...more };
      return () => this.#requests.request("content", this.#addressed(membership, payload));
    };
    await outbox.send(weight(parcel.content, parcel.data), prepare, signal);
  }

  #addressed(membership: Membership, payload: Record<string, unknown>): Record<string, unknown> {
    const { sessionId, token } = membership;
    return token === undefined ? { sessionId, ...payload } : { sessionId, token, ...payload };
  }
}

/** weight returns how many bytes a content takes on the wire, or some more. */
function weight(content: SharedContent, data: Data | undefined): number {
  const head = 2 * JSON.stringify(content).length + 512;
  return head + (typeof data === "string" ? 2 * utf8(data).byteLength : (data?.byteLength ?? 0));
}

/** checkedId returns a content's id, or throws where none may be named so: it could be taken for a signal. */
function checkedId(contentId: string): string {
  if (isContentId(contentId)) return contentId;
  throw new ContentError("invalid_id", 'A content\'s id has 1 to 256 characters, and does not begin with "signal-".');
}

function wasLeft(sessionId: string): SessionError {
  return new SessionError("left", `The session ${sessionId} was left.`);
}

function alreadyJoined(sessionId: string): SessionError {
  return new SessionError("already_joined", `The session ${sessionId} is joined already, or about to be.`);
}

function asShareError(error: unknown): ShareError {
  if (error instanceof ShareError) return error;
  return new ShareError("unexpected", error instanceof Error ? error.message : String(error), { cause: error });
}
