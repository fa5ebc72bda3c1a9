import { useEffect, useMemo, useSyncExternalStore } from "react";
import type { ContentInput, Data, FileOptions, JoinOptions } from "../index.js";
import { useHub } from "./provider.js";
import type { SessionState } from "./sessionstore.js";

/** Session is the state of a session, and what one can do in it. The functions stay the same from render to render. */
export interface Session extends SessionState {
  /** Shares a text. What becomes of it is told by its item. */
  shareText(text: string): Promise<void>;
  /** Shares any other content, such as one with an own `contentType`. */
  shareContent(content: ContentInput, data?: Data): Promise<void>;
  /** Shares a file. What becomes of it is told by its item. */
  shareFile(file: Blob & { name?: string }, options?: FileOptions): Promise<void>;
  /** Asks for a file that is held. */
  fetch(id: string): void;
  /** Ends the sending of a file. */
  cancel(id: string): void;
  /** Joins again when it has failed, and connects if need be. */
  retry(): void;
}

/**
 * useSession is in a session while the component is mounted: it joins, comes back after a lost connection, and leaves.
 * Components that name the same session share it.
 */
export function useSession(sessionId: string, name: string, options: JoinOptions = {}): Session {
  const hub = useHub();
  const { key, fingerprint } = options;
  const store = useMemo(() => {
    const given: JoinOptions = {};
    if (key !== undefined) given.key = key;
    if (fingerprint !== undefined) given.fingerprint = fingerprint;
    return hub.store(sessionId, name, given);
  }, [hub, sessionId, name, key, fingerprint]);
  useEffect(() => hub.use(store), [hub, store]);
  const state = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot);
  return useMemo(() => {
    const { shareText, shareContent, shareFile, fetch, cancel, retry } = store;
    return { ...state, shareText, shareContent, shareFile, fetch, cancel, retry };
  }, [store, state]);
}
