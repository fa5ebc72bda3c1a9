import { ConnectionError, ContentError, SessionError } from "./errors.js";
import type { Membership } from "./membership.js";
import { Deferred } from "./waiting.js";
import type { Ack } from "./wire.js";

/** What may wait to be sent while this client is not in the session: so many contents, and bytes. */
const MOST_WAITING = 1000;
const MOST_WAITING_BYTES = 16_000_000;
const MOST_ATTEMPTS = 10;

/** Prepare encrypts what is to be sent and returns the function that sends it and resolves with the server's answer. */
export type Prepare = () => Promise<() => Promise<Ack>>;

interface Item {
  order: number;
  bytes: number;
  prepare: Prepare;
  attempts: number;
  /** Whether nobody waits for it any more. */
  aborted: boolean;
  result: Deferred<void>;
}

/**
 * Outbox sends the contents of one session one after the other, while this client is in it. What a lost connection has
 * swallowed is sent again, before what came after it.
 */
export class Outbox {
  /** What waits to be sent, in order. */
  readonly #queue: Item[] = [];
  #bytes = 0;
  #order = 0;
  #running = false;

  constructor(readonly membership: Membership) {}

  /**
   * send resolves once the server has acknowledged it, and rejects with the server's refusal, or with the reason of the
   * signal: then it is not sent any more, and may have been sent.
   */
  async send(bytes: number, prepare: Prepare, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const full = this.#queue.length >= MOST_WAITING || this.#bytes + bytes > MOST_WAITING_BYTES;
    if (full && !this.membership.joined) {
      throw new ContentError("too_many", "Too much waits to be sent until the session is joined again.");
    }
    const item: Item = {
      order: ++this.#order,
      bytes,
      prepare,
      attempts: 0,
      aborted: false,
      result: new Deferred(),
    };
    const abort = () => {
      item.aborted = true;
      this.#remove(item);
      item.result.reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort);
    this.#add(item);
    try {
      await item.result.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let item = this.#queue[0]; item !== undefined; item = this.#queue[0]) {
      try {
        await this.membership.ready();
      } catch (error) {
        this.#bytes = 0;
        for (const { result } of this.#queue.splice(0)) result.reject(error);
        break;
      }
      if (this.#queue[0] !== item) continue;
      const { ownId } = this.membership;
      let send;
      try {
        send = await item.prepare();
      } catch (error) {
        this.#remove(item);
        item.result.reject(error);
        continue;
      }
      // What was encrypted names its sender: after a reconnect that may be another.
      if (this.#queue[0] !== item || !this.membership.joined || this.membership.ownId !== ownId) continue;
      this.#remove(item);
      void this.#deliver(item, send());
    }
    this.#running = false;
  }

  /** deliver waits for the answer. What is lost with the connection each time may be why it is lost. */
  async #deliver(item: Item, answer: Promise<Ack>): Promise<void> {
    try {
      const ack = await answer;
      const refusal = ack.success ? ack.results?.find(({ success }) => !success) : ack;
      if (refusal === undefined) item.result.resolve();
      else {
        const why = refusal.error ?? "The server refused what was sent.";
        item.result.reject(new SessionError(refusal.code ?? "refused", why));
      }
    } catch (error) {
      const lost = error instanceof ConnectionError && error.code === "disconnected";
      if (item.aborted) return;
      if (lost && ++item.attempts < MOST_ATTEMPTS) this.#add(item);
      else item.result.reject(error);
    }
  }

  #add(item: Item): void {
    const at = this.#queue.findIndex(({ order }) => order > item.order);
    this.#queue.splice(at < 0 ? this.#queue.length : at, 0, item);
    this.#bytes += item.bytes;
    void this.#run();
  }

  #remove(item: Item): void {
    const at = this.#queue.indexOf(item);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.#bytes -= item.bytes;
  }
}
