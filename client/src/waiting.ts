/** after resolves when that many milliseconds have passed, or the signal is aborted; no timer is left then. */
export function after(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    if (signal?.aborted) done();
    else signal?.addEventListener("abort", done);
  });
}

/**
 * Pauses grow from one attempt to the next, up to a bound. They vary by half, so that clients that have lost their
 * connections together do not come back together.
 */
export class Pauses {
  #attempts = 0;

  constructor(
    readonly first: number,
    readonly most: number,
  ) {}

  /** next returns how long to wait before the next attempt, in milliseconds. */
  next(): number {
    return this.grow() * (0.5 + Math.random() / 2);
  }

  /** grow returns the pause before the next attempt as it is before it varies, for who lets it vary by itself. */
  grow(): number {
    return Math.min(this.most, this.first * 2 ** this.#attempts++);
  }

  /** reset begins anew after an attempt that succeeded. */
  reset(): void {
    this.#attempts = 0;
  }
}

/** Deferred is a promise that is settled from outside. That it is rejected when nobody looks is no error. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => undefined);
  }
}

/** Pulse wakes whoever waits for something to have changed. */
export class Pulse {
  readonly #waiting = new Set<() => void>();

  /** beat wakes all who wait now. */
  beat(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** next resolves with the next beat, or when the time is up. */
  next(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.#waiting.add(wake);
    });
  }
}

/** Remembered holds the names that were seen last, up to a number of them. */
export class Remembered {
  readonly #names = new Set<string>();

  constructor(readonly limit: number) {}

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** delete forgets a name. */
  delete(name: string): void {
    this.#names.delete(name);
  }

  /** add remembers a name and tells whether it is new. */
  add(name: string): boolean {
    if (this.#names.has(name)) return false;
    this.#names.add(name);
    if (this.#names.size > this.limit) {
      for (const oldest of this.#names) {
        this.#names.delete(oldest);
        break;
      }
    }
    return true;
  }
}
