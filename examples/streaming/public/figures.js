const WINDOW_SECONDS = 3;

/** Rate counts bytes and tells how many there were per second, lately. */
export class Rate {
  #bySecond = new Map();

  add(bytes) {
    const second = Math.floor(performance.now() / 1000);
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + bytes);
    for (const old of this.#bySecond.keys()) if (old < second - WINDOW_SECONDS) this.#bySecond.delete(old);
  }

  /** toString averages over whole seconds, the current one left out. */
  toString() {
    const second = Math.floor(performance.now() / 1000);
    let bytes = 0;
    for (let i = 1; i <= WINDOW_SECONDS; i++) bytes += this.#bySecond.get(second - i) ?? 0;
    return `${Math.round(bytes / WINDOW_SECONDS / 1000)} kB/s`;
  }
}

/** duration writes seconds as minutes and seconds, with hours where there are any. */
export function duration(seconds) {
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** count writes a number and what it counts. */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
