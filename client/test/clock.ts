interface Timer {
  due: number;
  run: () => void;
}

/**
 * Clock is a time of its own for all that runs in this process: it passes when a test says so, and stands still while
 * something is going on.
 */
export class Clock {
  /** In milliseconds since 1970. */
  now = Date.UTC(2026, 0, 1);
  readonly #timers = new Map<object, Timer>();
  #restore: (() => void) | undefined;

  /** How many timers are running. */
  get pending(): number {
    return this.#timers.size;
  }

  /** start takes the place of the real time, until stop. */
  start(): void {
    const { setTimeout, clearTimeout, Date } = globalThis;
    const { now } = Date;
    this.#restore = () => {
      Object.assign(globalThis, { setTimeout, clearTimeout });
      Date.now = now;
    };
    const set = (run: (...args: unknown[]) => void, milliseconds = 0, ...args: unknown[]) => {
      const timer = { unref: () => timer, ref: () => timer };
      this.#timers.set(timer, { due: this.now + Math.max(0, milliseconds), run: () => run(...args) });
      return timer;
    };
    const clear = (timer: object | undefined) => void (timer && this.#timers.delete(timer));
    Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
    Date.now = () => this.now;
  }

  stop(): void {
    this.#restore?.();
    this.#timers.clear();
  }

  /** settle waits until everything has been done that needs no time. */
  async settle(): Promise<void> {
    // What was begun by this may begin something itself.
    for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** pass lets so many milliseconds pass. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.now + milliseconds;
    await this.settle();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      const [key, { due, run }] = next;
      this.#timers.delete(key);
      this.now = Math.max(this.now, due);
      run();
      await this.settle();
    }
    this.now = end;
  }

  /** next returns the timer that is due first, if it is due by then. Of those that are due together it is the oldest. */
  #next(end: number): [object, Timer] | undefined {
    let first: [object, Timer] | undefined;
    for (const entry of this.#timers) {
      if (entry[1].due <= end && (first === undefined || entry[1].due < first[1].due)) first = entry;
    }
    return first;
  }
}
