import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { type JoinOptions, type ServiceOptions, SocketService } from "../index.js";
import { SessionStore } from "./sessionstore.js";

/** Hub is what the components below a provider share. */
class Hub {
  readonly #stores = new Map<string, SessionStore>();
  readonly #uses = new Map<SessionStore, number>();
  #connections = 0;

  constructor(
    readonly service: SocketService,
    readonly maxKeptBytes: number | undefined,
  ) {}

  /** store returns the store of a session; the components that look at one session share it. */
  store(sessionId: string, name: string, { key, fingerprint }: JoinOptions): SessionStore {
    const store = this.#stores.get(sessionId);
    if (store?.name === name && store.options.key === key && store.options.fingerprint === fingerprint) return store;
    const options: JoinOptions = {};
    if (key !== undefined) options.key = key;
    if (fingerprint !== undefined) options.fingerprint = fingerprint;
    const fresh = new SessionStore(this.service, sessionId, name, options, this.maxKeptBytes);
    // Until the first is in use, another may take its place.
    if (store === undefined || !store.started) this.#stores.set(sessionId, fresh);
    return fresh;
  }

  /** use joins a session for a component and returns the function that lets go of it. */
  use(store: SessionStore): () => void {
    const other = this.#stores.get(store.sessionId);
    if (other !== store) other?.stop();
    this.#stores.set(store.sessionId, store);
    this.#uses.set(store, (this.#uses.get(store) ?? 0) + 1);
    store.start();
    return () => {
      this.#uses.set(store, this.#uses.get(store)! - 1);
      // React's strict mode takes every effect back once and runs it again: that is no reason to leave.
      setTimeout(() => {
        if (this.#uses.get(store) !== 0) return;
        this.#uses.delete(store);
        store.stop();
        if (this.#stores.get(store.sessionId) === store) this.#stores.delete(store.sessionId);
      });
    };
  }

  /** connect connects for a provider and returns the function that lets go of the connection. */
  connect(): () => void {
    this.#connections++;
    this.service.connect();
    return () => {
      this.#connections--;
      setTimeout(() => {
        if (this.#connections === 0) this.service.close();
      });
    };
  }
}

const Context = createContext<Hub | null>(null);

/** SocketProviderProps are those of SocketProvider. */
export interface SocketProviderProps {
  /** A service to use. It is then whoever made it that connects and closes it. */
  service?: SocketService;
  /** How to make one otherwise. Read once. */
  options?: ServiceOptions;
  /**
   * How many bytes of received files each session keeps. When there are more, the oldest give way, but for the one that
   * came last. Default: 1 GiB. Read once.
   */
  maxKeptBytes?: number;
  children?: ReactNode;
}

/**
 * SocketProvider gives the components below it a connection: one that it makes, and closes with itself, or yours. It may
 * change from the one to the other.
 */
export function SocketProvider({ service, options, maxKeptBytes, children }: SocketProviderProps) {
  const [hubs, setHubs] = useState<Hubs>({ own: undefined, given: undefined });
  let { own, given } = hubs;
  if (service === undefined) own ??= new Hub(new SocketService({ ...options, autoConnect: false }), maxKeptBytes);
  else if (given?.service !== service) given = new Hub(service, maxKeptBytes);
  if (own !== hubs.own || given !== hubs.given) setHubs({ own, given });
  useEffect(() => (service === undefined ? own?.connect() : undefined), [own, service]);
  return <Context.Provider value={(service === undefined ? own : given) ?? null}>{children}</Context.Provider>;
}

/** Hubs are those that a provider has: one for a service of its own, made once it is needed, and one for yours. */
interface Hubs {
  own: Hub | undefined;
  given: Hub | undefined;
}

/** useHub returns what the provider above shares. */
export function useHub(): Hub {
  const hub = useContext(Context);
  if (hub === null) throw new Error("This needs a <SocketProvider> around it.");
  return hub;
}

/** useSocket returns the service of the provider above. */
export function useSocket(): SocketService {
  return useHub().service;
}
