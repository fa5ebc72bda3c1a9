const FIRST = 4;
const LEAST = 2;
const MOST = 16;
const SLOW = 1000; // milliseconds

/**
 * Window says how many chunks may be unacknowledged at a time. It grows while the answers come soon and shrinks while
 * they do not, so that a slow line never holds so much that the connection's heartbeat comes too late.
 */
export class Window {
  #size = FIRST;

  get size(): number {
    return this.#size;
  }

  /** acknowledged takes how many milliseconds an answer took. */
  acknowledged(milliseconds: number): void {
    this.#size = milliseconds < SLOW ? Math.min(this.#size + 1, MOST) : Math.max(this.#size >> 1, LEAST);
  }

  /** lost begins anew, as when the connection was lost. */
  lost(): void {
    this.#size = FIRST;
  }
}
