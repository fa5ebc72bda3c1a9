import { type Bytes, fromBase64Url, toBase64Url, utf8 } from "./bytes.js";
import { KeyError } from "./errors.js";

const KEY_BYTES = 32; // AES-256
/** IV_BYTES is the length of an initialisation vector of AES-GCM; each message has a random one of its own. */
export const IV_BYTES = 12;
/** TAG_BYTES is what AES-GCM adds to a message. */
export const TAG_BYTES = 16;

/** Key is what a session is encrypted with: the text that generateKey returns, or an AES-GCM key of WebCrypto. */
export type Key = string | CryptoKey;

/** Sealed is an encrypted message and the vector it was encrypted with. */
export interface Sealed {
  iv: Bytes;
  encryptedData: Bytes;
}

// Without a secure context browsers have crypto, but no crypto.subtle.
function subtle(): SubtleCrypto {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) {
    throw new KeyError("insecure_context", "Encryption needs a page that came over HTTPS, or from localhost.");
  }
  return subtle;
}

/** generateKey returns a new random key as text of 43 characters, fit for the fragment of a URL. */
export function generateKey(): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(KEY_BYTES)));
}

/** generateId returns a new random name of 22 characters, for a session or a content. It cannot be guessed. */
export function generateId(): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(16)));
}

function rawKey(text: string): Bytes {
  const raw = fromBase64Url(text);
  if (raw?.byteLength !== KEY_BYTES) {
    throw new KeyError("invalid_key", `The key is not ${KEY_BYTES} bytes in base64url, as generateKey makes them.`);
  }
  return raw;
}

/** importKey makes a key of WebCrypto of a key's text. It cannot be exported again. */
export async function importKey(key: Key): Promise<CryptoKey> {
  if (typeof key !== "string") {
    if (key.algorithm.name !== "AES-GCM") {
      throw new KeyError("invalid_key", `The key is for ${key.algorithm.name}, and has to be for AES-GCM.`);
    }
    return key;
  }
  return subtle().importKey("raw", rawKey(key), "AES-GCM", false, ["encrypt", "decrypt"]);
}

/**
 * fingerprint returns what a server may know of a session's key: it shows that two clients have the same one, and says
 * nothing about which. A server that compares it (`fingerprint first`) lets only those in who have the key.
 */
export async function fingerprint(key: string, sessionId: string): Promise<string> {
  const label = utf8(JSON.stringify(["caddy-socketio/client", "fingerprint", sessionId]));
  const raw = rawKey(key);
  const input = new Uint8Array(label.byteLength + raw.byteLength);
  input.set(label);
  input.set(raw, label.byteLength);
  return toBase64Url(new Uint8Array(await subtle().digest("SHA-256", input)));
}

/** sha256 returns the SHA-256 of a file or of bytes as 64 hexadecimal digits. A file is read into memory for it. */
export async function sha256(data: Blob | Uint8Array): Promise<string> {
  const bytes = data instanceof Uint8Array ? Uint8Array.from(data) : await data.arrayBuffer();
  const digest = new Uint8Array(await subtle().digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** seal encrypts a message. Whoever opens it must name the same context: what the message is, and where it belongs. */
export async function seal(key: CryptoKey, message: Bytes, context: readonly unknown[]): Promise<Sealed> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const encrypted = await subtle().encrypt(
    { name: "AES-GCM", iv, additionalData: contextBytes(context) },
    key,
    message,
  );
  return { iv, encryptedData: new Uint8Array(encrypted) };
}

/** open decrypts what seal has encrypted; it throws a KeyError for another key, another context, or changed bytes. */
export async function open(key: CryptoKey, sealed: Sealed, context: readonly unknown[]): Promise<Bytes> {
  const algorithm = { name: "AES-GCM", iv: sealed.iv, additionalData: contextBytes(context) };
  try {
    return new Uint8Array(await subtle().decrypt(algorithm, key, sealed.encryptedData));
  } catch (cause) {
    throw new KeyError("decrypt_failed", "This was encrypted with another key, or was changed on its way.", { cause });
  }
}

// As JSON, no two different contexts have the same bytes.
function contextBytes(context: readonly unknown[]): Bytes {
  return utf8(JSON.stringify(["caddy-socketio/client/1", ...context]));
}
