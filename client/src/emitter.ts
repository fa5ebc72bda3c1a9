/** Listener takes the one value an event carries. */
export type Listener<T> = (value: T) => void;

/** Emitter calls listeners by the event's name; `Events` maps names to what they carry. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** on adds a listener and returns the function that removes it again. Adding one twice adds it once. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    let set = this.#listeners.get(name);
    if (set === undefined) {
      set = new Set();
      this.#listeners.set(name, set);
    }
    set.add(listener);
    return () => this.off(name, listener);
  }

  /** once adds a listener that is removed before its first call, and returns the function that removes it sooner. */
  once<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const remove = this.on(name, (value) => {
      remove();
      listener(value);
    });
    return remove;
  }

  /** off removes a listener, or all of an event's when none is given. */
  off<Name extends keyof Events>(name: Name, listener?: Listener<Events[Name]>): void {
    if (listener === undefined) this.#listeners.delete(name);
    else this.#listeners.get(name)?.delete(listener);
  }

  /** emit calls the listeners there are now. One that throws does not keep the others from being called. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])] as Listener<Events[Name]>[]) {
      try {
        listener(value);
      } catch (error) {
        // It is reported as any uncaught error is, without stopping what is going on here.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
