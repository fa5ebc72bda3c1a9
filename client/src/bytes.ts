/** Bytes are bytes in memory of their own kind: never shared memory, which WebCrypto refuses. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

/** utf8 returns a text as bytes. */
export function utf8(text: string): Bytes {
  return encoder.encode(text) as Bytes;
}

/** toBytes views binary data, in whichever form a transport hands it out, as bytes; undefined if it is none. */
export function toBytes(value: unknown): Bytes | undefined {
  if (ArrayBuffer.isView(value) && !isShared(value.buffer)) {
    return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
  }
  // A name rather than a class: a page's frames each have an ArrayBuffer of their own.
  if (Object.prototype.toString.call(value) === "[object ArrayBuffer]") return new Uint8Array(value as ArrayBuffer);
  return undefined;
}

function isShared(buffer: ArrayBufferLike): boolean {
  return Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]";
}

/** toBase64Url writes bytes with the letters, digits, "-" and "_" that a URL takes as they are. */
export function toBase64Url(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** fromBase64Url reads what toBase64Url has written; undefined if it is something else. */
export function fromBase64Url(text: string): Bytes | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}
