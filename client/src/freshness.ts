import { generateId } from "./crypto.js";
import { isCount, isFields, isText } from "./wire.js";

const MOST_STREAMS = 200;

/**
 * Stamp makes an encrypted message one of a kind: a sender numbers what it sends, in streams that it opens anew each time
 * that it joins. Only who has the key can make one.
 */
export interface Stamp {
  /** Names the stream; nobody can guess it. */
  stream: string;
  /** When the stream was opened, in milliseconds since 1970, by the sender's clock. */
  opened: number;
  /** Counts what was sent in the stream, from 1. */
  number: number;
}

/**
 * Freshness says what is known of when something was sent: `new` (this tab has not had it before), `again` (this tab had
 * it before it was loaded again, or before it joined again), or `unknown`: nothing that is encrypted tells, as in a
 * session without a key, or from a client of an older version.
 */
export type Freshness = "new" | "again" | "unknown";

/** MarkStorage is where marks outlast the page: the part of a browser's Storage that is needed. */
export type MarkStorage = Pick<Storage, "getItem" | "setItem">;

/** Numbering is a stream of this client's. */
export class Numbering {
  readonly stream = generateId();
  readonly #opened = Date.now();
  #last = 0;

  next(): Stamp {
    return { stream: this.stream, opened: this.#opened, number: ++this.#last };
  }
}

/** readStamp reads the stamp of a decrypted message; undefined if it has none that is whole. */
export function readStamp(fields: Record<string, unknown>): Stamp | undefined {
  const { stream, opened, number } = fields;
  if (!isText(stream) || !/^[A-Za-z0-9_-]{22}$/.test(stream) || !isCount(opened) || !isCount(number)) return undefined;
  return { stream, opened, number };
}

/** tabStorage returns the storage that a tab keeps when it is loaded again; undefined where there is none. */
export function tabStorage(): MarkStorage | undefined {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined; // it is switched off
  }
}

/** MemoryStorage is a storage that does not outlast the page. */
export class MemoryStorage implements MarkStorage {
  readonly #items = new Map<string, string>();

  getItem(name: string): string | null {
    return this.#items.get(name) ?? null;
  }

  setItem(name: string, value: string): void {
    this.#items.set(name, value);
  }
}

/**
 * Marks tells what has come before from what has not: of each stream in a session it keeps the highest number that has
 * come. A server that shows something once more, now or after the page was loaded again, cannot have it taken for new.
 */
export class Marks {
  readonly #now = new Ledger();
  readonly #before: Ledger;
  readonly #all: Ledger;
  readonly #name: string;

  constructor(
    readonly storage: MarkStorage,
    sessionId: string,
  ) {
    this.#name = `caddy-socketio/marks/${sessionId}`;
    const text = this.#read();
    this.#before = new Ledger(text);
    this.#all = new Ledger(text);
  }

  /** judge takes a stamp and tells whether it is new. What came since this client has joined is `repeated`. */
  judge(stamp: Stamp): "new" | "again" | "repeated" {
    if (this.#now.has(stamp)) return "repeated";
    const again = this.#before.has(stamp) || this.#before.forgot(stamp) || this.#now.forgot(stamp);
    this.#now.add(stamp);
    this.#keep(stamp);
    return again ? "again" : "new";
  }

  /** sent takes the stamp of what this client sends: that is not new either when it comes back later. */
  sent(stamp: Stamp): void {
    this.#keep(stamp);
  }

  #keep(stamp: Stamp): void {
    this.#all.add(stamp);
    try {
      this.storage.setItem(this.#name, this.#all.toString());
    } catch {
      // It is full, or switched off: what is known lasts as long as the page.
    }
  }

  #read(): string | null {
    try {
      return this.storage.getItem(this.#name);
    } catch {
      return null;
    }
  }
}

interface Mark {
  opened: number;
  number: number;
  /** Whether it may be a stream that was forgotten. */
  forgotten: boolean;
}

/** Ledger holds the highest numbers of the streams that were used last, and from when on it has forgotten none. */
class Ledger {
  readonly #marks = new Map<string, Mark>();
  #floor = -1;

  /** It takes what toString has written; anything else counts as nothing. */
  constructor(text: string | null = null) {
    let value: unknown;
    try {
      value = JSON.parse(text ?? "null");
    } catch {
      return;
    }
    if (!isFields(value) || !isFields(value.marks)) return;
    if (isCount(value.floor)) this.#floor = value.floor;
    for (const [stream, mark] of Object.entries(value.marks).slice(-MOST_STREAMS)) {
      if (!isFields(mark) || !isCount(mark.opened) || !isCount(mark.number)) continue;
      this.#marks.set(stream, { opened: mark.opened, number: mark.number, forgotten: mark.forgotten === true });
    }
  }

  /** has tells whether that number of the stream, or a higher one, has come. */
  has({ stream, number }: Stamp): boolean {
    return number <= (this.#marks.get(stream)?.number ?? 0);
  }

  /** forgot tells whether the stream may be one that was forgotten. */
  forgot({ stream, opened }: Stamp): boolean {
    return this.#marks.get(stream)?.forgotten ?? opened <= this.#floor;
  }

  add(stamp: Stamp): void {
    const { stream, opened } = stamp;
    const forgotten = this.forgot(stamp);
    const number = Math.max(stamp.number, this.#marks.get(stream)?.number ?? 0);
    this.#marks.delete(stream);
    this.#marks.set(stream, { opened, number, forgotten });
    if (this.#marks.size <= MOST_STREAMS) return;
    for (const [oldest, mark] of this.#marks) {
      this.#marks.delete(oldest);
      this.#floor = Math.max(this.#floor, mark.opened);
      break;
    }
  }

  toString(): string {
    return JSON.stringify({ floor: this.#floor, marks: Object.fromEntries(this.#marks) });
  }
}
