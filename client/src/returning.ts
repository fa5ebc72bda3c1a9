import type { Socket } from "socket.io-client";
import { ConnectionError, type ServerError } from "./errors.js";
import { Pauses } from "./waiting.js";
import { isFields, isText, readError } from "./wire.js";

/** The code with which the server says that whoever runs it has put this client out. */
const KICKED = "kicked";

/** The codes with which a server refuses for the moment: to ask again some time later may help. */
const PASSING = new Set([
  "auth_unavailable",
  "internal_error",
  "no_fingerprint",
  "rate_limited",
  "session_full",
  "throttled",
  "too_many_sessions",
]);

/** mayPass tells whether a refusal may pass by itself. */
export function mayPass(code: string | undefined): boolean {
  return code !== undefined && PASSING.has(code);
}

/**
 * Returning decides whether there is to be a connection, and what becomes of one that was lost, ended or refused. After a
 * lost one socket.io-client comes back by itself. What may pass is tried again after a pause; what the server has decided
 * stays. The pauses of both grow until a session was joined, or a connection has lasted.
 */
export class Returning {
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The `error` event that came last, with nothing after it: why the server ends the connection. */
  #reason: ServerError | undefined;
  /** Whether there is to be a connection. Nothing connects while there is not. */
  #wanted: boolean;
  #connectedAt = Infinity;
  /** The pauses of socket.io-client after lost connections. */
  readonly #lost: Pauses;
  /** Counts how often `auth` was asked: only what was asked last may be answered. */
  #asked = 0;

  constructor(
    readonly socket: Socket,
    readonly pauses: Pauses,
    readonly ended: (error: ConnectionError) => void,
    wanted: boolean,
  ) {
    this.#wanted = wanted;
    socket.onAny((event: string, value: unknown) => {
      this.#reason = event === "error" ? readError(value) : undefined;
    });
    const { auth } = socket;
    if (typeof auth === "function") {
      socket.auth = (give) => {
        const asked = ++this.#asked;
        // The answer may come when the connection is not wanted any more, or is another one.
        auth((data) => asked === this.#asked && give(data));
      };
    }
    // Its own pauses begin anew with each connection, also with those that end at once.
    this.#lost = new Pauses(pauses.first, pauses.most);
    socket.io.on("open", () => socket.io.reconnectionDelay(this.#lost.grow()));
  }

  /** connect connects, if it is not done or under way already. */
  connect(): void {
    this.#wanted = true;
    this.#stop();
    // To connect twice while the first is under way would be an error to the server.
    if (!this.socket.active) this.socket.connect();
  }

  /** disconnect ends the connection, or the attempt to have one, until connect is called. */
  disconnect(): void {
    this.#wanted = false;
    this.#asked++;
    this.#stop();
    this.socket.disconnect();
  }

  /** connected is called when there is a connection. */
  connected(): void {
    this.#stop();
    this.#reason = undefined;
    this.#connectedAt = Date.now();
  }

  /** joined is called when a session was joined: what comes later is no further attempt. */
  joined(): void {
    this.pauses.reset();
    this.#lost.reset();
    this.socket.io.reconnectionDelay(this.pauses.first);
  }

  /** lost is called when the connection is gone. It returns why there is to be none any more, if so. */
  lost(how: string): ConnectionError | undefined {
    const reason = this.#reason;
    this.#reason = undefined;
    if (Date.now() - this.#connectedAt >= this.pauses.most) this.joined();
    this.#connectedAt = Infinity;
    const kicked = reason?.code === KICKED;
    // After a kick also when its transport was closed, after which socket.io-client would come back.
    if (!this.#wanted || (how !== "io server disconnect" && !kicked)) return undefined;
    // A function may have another token by now. If it has not, the server refuses the old one.
    if (reason?.code === "token_expired" && typeof this.socket.auth === "function") {
      this.#later();
      return undefined;
    }
    this.disconnect();
    return new ConnectionError(reason?.code ?? "ended", reason?.message ?? "The server ended the connection.");
  }

  /** refused is called when the server does not let the client in, and returns why. */
  refused(cause: Error & { data?: unknown }): ConnectionError {
    const code = isFields(cause.data) && isText(cause.data.code) ? cause.data.code : undefined;
    const error = new ConnectionError(code ?? "refused", `The server refuses the connection: ${cause.message}`, { cause });
    if (!this.#wanted) return error;
    if (mayPass(code)) this.#later();
    else {
      this.disconnect();
      this.ended(error);
    }
    return error;
  }

  #later(): void {
    this.#stop();
    this.#timer = setTimeout(() => {
      if (this.#wanted && !this.socket.active) this.socket.connect();
    }, this.pauses.next());
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
