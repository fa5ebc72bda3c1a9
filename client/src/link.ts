import { fromBase64Url } from "./bytes.js";
import { generateId, generateKey } from "./crypto.js";

/** SessionLink is what one hands on to let another in: the session, and the key that the server never gets. */
export interface SessionLink {
  sessionId: string;
  key: string;
}

/** newLink returns a session that nobody can guess, with a key of its own. */
export function newLink(): SessionLink {
  return { sessionId: generateId(), key: generateKey() };
}

/** writeLink returns a link as the fragment of a URL, "#" included. Browsers do not send fragments to servers. */
export function writeLink({ sessionId, key }: SessionLink): string {
  return `#${encodeURIComponent(sessionId)}.${key}`;
}

/** readLink reads the fragment of a URL; undefined if it is no link. */
export function readLink(fragment: string): SessionLink | undefined {
  const match = /^#(.+)\.([A-Za-z0-9_-]{43})$/.exec(fragment);
  if (match === null || fromBase64Url(match[2]!)?.byteLength !== 32) return undefined;
  try {
    return { sessionId: decodeURIComponent(match[1]!), key: match[2]! };
  } catch {
    return undefined;
  }
}
