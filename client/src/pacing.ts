import type { Data } from "./envelope.js";
import type { ContentInput } from "./wire.js";
import type { Entry } from "./options.js";
import { after } from "./waiting.js";

// What Socket.IO allows in one event.
const MOST_BINARY = 10;

/**
 * parts divides the entries of a batch into events that a server accepts: so many entries, so many of them binary, and
 * so many bytes.
 */
export function parts<T>(
  entries: readonly T[],
  most: { entries: number; bytes: number },
  weigh: (entry: T) => { bytes: number; binary: boolean },
): T[][] {
  const parts: T[][] = [];
  let part: T[] = [];
  let bytes = 0;
  let binary = 0;
  for (const entry of entries) {
    const weight = weigh(entry);
    const more = weight.binary ? 1 : 0;
    const full = part.length === most.entries || binary + more > MOST_BINARY || bytes + weight.bytes > most.bytes;
    if (full && part.length > 0) {
      parts.push(part);
      part = [];
      bytes = 0;
      binary = 0;
    }
    part.push(entry);
    bytes += weight.bytes;
    binary += more;
  }
  return part.length === 0 ? parts : [...parts, part];
}

/** Busy is a session and type of which something was sent within the interval. */
interface Busy {
  sessionId: string;
  latest: (() => Promise<unknown>) | undefined;
  ended: AbortController;
}

/** Throttles hold back contents that come too often, and keep the latest of each session and type. */
export class Throttles {
  readonly #busy = new Map<string, Busy>();

  constructor(
    readonly send: (sessionId: string, content: ContentInput, data: Data | undefined) => Promise<unknown>,
    readonly failed: (sessionId: string, error: unknown) => void,
  ) {}

  /** add sends a content now, or when its turn comes unless another has taken its place. */
  add(sessionId: string, content: ContentInput, data: Data | undefined, interval: number): void {
    const name = JSON.stringify([sessionId, content.contentType]);
    const send = () => this.send(sessionId, content, data);
    const busy = this.#busy.get(name);
    if (busy !== undefined) {
      busy.latest = send;
      return;
    }
    const fresh = { sessionId, latest: send, ended: new AbortController() };
    this.#busy.set(name, fresh);
    void this.#run(name, fresh, interval);
  }

  /** forget drops what is held back for a session. */
  forget(sessionId: string): void {
    for (const [name, busy] of this.#busy) {
      if (busy.sessionId !== sessionId) continue;
      this.#busy.delete(name);
      busy.ended.abort();
    }
  }

  async #run(name: string, busy: Busy, interval: number): Promise<void> {
    while (busy.latest !== undefined && !busy.ended.signal.aborted) {
      const send = busy.latest;
      busy.latest = undefined;
      // What has not gone out when the interval is over, as without a connection, keeps the next one back.
      const sent = send().catch((error: unknown) => this.failed(busy.sessionId, error));
      await Promise.all([after(interval, busy.ended.signal), sent]);
    }
    if (this.#busy.get(name) === busy) this.#busy.delete(name);
  }
}

/** Batches collect contents of a session for a moment, and send them together. */
export class Batches {
  readonly #waiting = new Map<string, { entries: Entry[]; timer: ReturnType<typeof setTimeout> }>();

  constructor(
    readonly send: (sessionId: string, entries: Entry[]) => Promise<unknown>,
    readonly failed: (sessionId: string, error: unknown) => void,
  ) {}

  /** add puts a content to the others of its session; the first one's delay counts. */
  add(sessionId: string, entry: Entry, delay: number): void {
    const waiting = this.#waiting.get(sessionId);
    if (waiting !== undefined) {
      waiting.entries.push(entry);
      return;
    }
    const entries = [entry];
    const timer = setTimeout(() => {
      this.#waiting.delete(sessionId);
      this.send(sessionId, entries).catch((error: unknown) => this.failed(sessionId, error));
    }, delay);
    this.#waiting.set(sessionId, { entries, timer });
  }

  /** forget drops what is collected for a session. */
  forget(sessionId: string): void {
    clearTimeout(this.#waiting.get(sessionId)?.timer);
    this.#waiting.delete(sessionId);
  }
}
