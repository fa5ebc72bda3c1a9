import { SessionError } from "./errors.js";
import { type Marks, Numbering } from "./freshness.js";
import type { Client } from "./wire.js";
import { Remembered } from "./waiting.js";

const REMEMBERED_CONTENTS = 2000;

/** MembershipOptions is what joins a session, the first time and after each reconnect. */
export interface MembershipOptions {
  sessionId: string;
  name: string;
  fingerprint: string | undefined;
  key: CryptoKey | undefined;
  /** What has come in the session, before and since. */
  marks: Marks;
}

/**
 * Membership is this client's part in one session: whether it is in right now, who else is, and the token that the
 * server asks for. Whoever has something to send waits for ready.
 */
export class Membership {
  readonly sessionId: string;
  readonly name: string;
  readonly fingerprint: string | undefined;
  readonly key: CryptoKey | undefined;
  readonly marks: Marks;
  /** The stream of the contents that this client sends. */
  readonly numbers = new Numbering();
  /** The ids of contents that came or went already: after a reconnect they may come again. */
  readonly seen = new Remembered(REMEMBERED_CONTENTS);
  readonly clients = new Map<string, Client>();
  /** What the server asks for with what is sent, and what gives this client its place back after a reconnect. */
  token: string | undefined;
  /** The id by which the others know this client; undefined before the first join. */
  ownId: string | undefined;
  /** Whether it was in at any time: then the next join is a rejoin. */
  wasJoined = false;

  #joined = false;
  #ended: SessionError | undefined;
  #waiting: { resolve: () => void; reject: (error: SessionError) => void }[] = [];

  constructor(options: MembershipOptions) {
    this.sessionId = options.sessionId;
    this.name = options.name;
    this.fingerprint = options.fingerprint;
    this.marks = options.marks;
    this.key = options.key;
  }

  get joined(): boolean {
    return this.#joined;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** enter takes over what a join was answered with, on the connection of that id. */
  enter(clients: readonly Client[], token: string | undefined, id: string): void {
    if (this.ended) return;
    this.clients.clear();
    for (const client of clients) this.clients.set(client.id, client);
    // With its token this client has its old place, which the others know by its old id.
    if (token === undefined || token !== this.token) this.ownId = id;
    this.token = token;
    this.#joined = true;
    this.wasJoined = true;
    for (const { resolve } of this.#take()) resolve();
  }

  /** interrupt tells that the connection is gone; a rejoin is expected. */
  interrupt(): void {
    this.#joined = false;
  }

  /** end lets go of all who wait; there is no way back. */
  end(error: SessionError): void {
    if (this.ended) return;
    this.#joined = false;
    this.#ended = error;
    for (const { reject } of this.#take()) reject(error);
  }

  /** ready resolves as soon as one is in the session, and rejects once that will not be any more. */
  ready(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#joined) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #take() {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
