import type { Socket } from "socket.io-client";
import { ConnectionError, type ServerError } from "./errors.js";
import type { Pauses } from "./waiting.js";
import { isFields, isText, readError } from "./wire.js";

/** The codes with which a server refuses for the moment: to ask again some time later may help. */
const PASSING = new Set([
  "auth_unavailable",
  "internal_error",
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
 * Returning decides what becomes of a connection that the server has ended or refused. socket.io-client itself comes back
 * after a lost connection alone. What may pass is tried again after a pause; what the server has decided stays.
 */
export class Returning {
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The `error` event that came last, with nothing after it: why the server ends the connection. */
  #reason: ServerError | undefined;

  constructor(
    readonly socket: Socket,
    readonly pauses: Pauses,
    readonly ended: (error: ConnectionError) => void,
  ) {
    socket.onAny((event: string, value: unknown) => {
      this.#reason = event === "error" ? readError(value) : undefined;
    });
  }

  /** connected begins anew. */
  connected(): void {
    this.stop();
    this.pauses.reset();
    this.#reason = undefined;
  }

  /** dismissed is called when the server has ended the connection. */
  dismissed(): void {
    const reason = this.#reason;
    // A function may have another token by now. If it has not, the server refuses the old one.
    if (reason?.code === "token_expired" && typeof this.socket.auth === "function") this.#later();
    else this.ended(new ConnectionError(reason?.code ?? "ended", reason?.message ?? "The server ended the connection."));
  }

  /** refused is called when the server does not let the client in, and returns why. */
  refused(cause: Error & { data?: unknown }): ConnectionError {
    const code = isFields(cause.data) && isText(cause.data.code) ? cause.data.code : undefined;
    const error = new ConnectionError(code ?? "refused", `The server refuses the connection: ${cause.message}`, { cause });
    if (mayPass(code)) this.#later();
    else this.ended(error);
    return error;
  }

  /** stop gives up coming back. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #later(): void {
    this.stop();
    this.#timer = setTimeout(() => {
      if (!this.socket.active) this.socket.connect();
    }, this.pauses.next());
  }
}
