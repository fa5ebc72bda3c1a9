/** ShareError is what every error of this package is; `code` says which one, in words that do not change. */
export class ShareError extends Error {
  // A minifier changes the names of classes.
  override readonly name: string = "ShareError";

  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * ConnectionError tells that the server could not be reached, did not answer, or does not want the connection: its code
 * is then the server's own, such as `kicked` or `unauthorized`.
 *
 * Codes: `connect_failed`, `disconnected`, `timeout`; `ended` and `refused` where the server gave none.
 */
export class ConnectionError extends ShareError {
  override readonly name = "ConnectionError";
}

/**
 * SessionError tells that a session does not take part in what was asked: the server's refusal with its own code
 * (`refused` where it gave none), or one of `not_joined`, `already_joined`, `left`. With `replaced` it is the client
 * itself that has its place in the session on another connection.
 */
export class SessionError extends ShareError {
  override readonly name = "SessionError";
}

/** ServerError is an `error` event of the server, with the server's code; `unknown` where it gave none. */
export class ServerError extends ShareError {
  override readonly name = "ServerError";
}

/**
 * KeyError tells that something could not be encrypted or decrypted.
 *
 * Codes: `insecure_context` (the page came over plain HTTP, where browsers have no WebCrypto), `invalid_key`, `no_key`,
 * `decrypt_failed` (another key, or the bytes were changed on the way).
 */
export class KeyError extends ShareError {
  override readonly name = "KeyError";
}

/**
 * TransferError tells why a file did not arrive.
 *
 * Codes: `aborted` (by this side), `cancelled` (by the sender), `read_failed` (the file changed or went away while it
 * was read), `unavailable` (the sender has left or does not answer; if it comes back, the file still arrives), `invalid`
 * (what was announced contradicts itself, or names sizes that cannot be), `too_large`, `too_many` (so many files wait that
 * the oldest are given up; it comes if its sender offers it again), `released` (it had arrived, and gave way to later ones).
 */
export class TransferError extends ShareError {
  override readonly name = "TransferError";
}

/**
 * ContentError tells that what came as content is none, or that a content cannot be sent.
 *
 * Codes: `invalid`, `invalid_id` (its `contentId` cannot name a content), `not_encrypted` (it came so, and the session has
 * a key), `wrong_sender` (the server says that another has sent it), `too_large`, `too_many` (too much waits for the
 * connection to come back).
 */
export class ContentError extends ShareError {
  override readonly name = "ContentError";
}
