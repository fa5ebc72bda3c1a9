// A recorder hands out its bytes in slices that end wherever they happen to end, often in the middle of an element and
// sometimes in the middle of an element's four identifying bytes. Somebody who joins later can only start where the
// container starts a new group of pictures. A segmenter therefore reads the container's outline (never the pictures)
// and cuts the bytes into pieces that each hold whole elements:
//
//   { kind: "header", bytes }             what a player must have before anything else, once
//   { kind: "media", start: true, bytes } begins a WebM cluster or an MP4 fragment: playback may start here
//   { kind: "media", start: false, bytes } goes on where the piece before it ended

/** segmenterFor returns the segmenter for a recorder's MIME type. */
export function segmenterFor(mimeType) {
  return /\/mp4\b/.test(mimeType) ? new Segmenter(nextBox) : new Segmenter(nextElement);
}

/**
 * mimeTypeOf reads the MIME type, codecs included, off a WebM header. It returns "" for anything else, because the
 * codec strings of MP4 cannot be told from a name alone.
 */
export function mimeTypeOf(header) {
  const bytes = new Uint8Array(header);
  if (bytes.length < 4 || readID(bytes, 0)?.id !== EBML) return "";
  const text = String.fromCharCode(...bytes.subarray(0, 4096));
  const codecs = [["V_VP8", "vp8"], ["V_VP9", "vp9"], ["A_OPUS", "opus"]]
    .filter(([codecID]) => text.includes(codecID))
    .map(([, codec]) => codec);
  return codecs.length > 0 ? `video/webm;codecs=${codecs.join(",")}` : "";
}

class Segmenter {
  #next;
  #rest = new Uint8Array(0);
  #header = [];
  #started = false;

  /** next tells where an element ends and whether a piece starts with it, or undefined while bytes are missing. */
  constructor(next) {
    this.#next = next;
  }

  /** push takes the recorder's next bytes and returns the pieces that are complete now. */
  push(bytes) {
    const all = concat([this.#rest, bytes]);
    const pieces = [];
    let from = 0; // where the piece being collected begins
    let at = 0; // where the element being looked at begins
    let start = false;
    const cut = () => {
      if (at === from) return;
      pieces.push({ kind: "media", start, bytes: all.slice(from, at) });
      from = at;
    };
    for (;;) {
      const element = this.#next(all, at);
      if (element === undefined) break;
      if (element.starts) {
        if (this.#started) {
          cut();
        } else {
          this.#started = true;
          pieces.push({ kind: "header", bytes: concat([...this.#header, all.slice(from, at)]) });
          from = at;
        }
        start = true;
      }
      at = element.end;
    }
    if (this.#started) cut();
    else this.#header.push(all.slice(from, at));
    this.#rest = all.slice(at);
    return pieces;
  }
}

function concat(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// WebM: EBML elements, each an identifier, a size and that many bytes. The segment and its clusters are entered instead
// of skipped; a recorder does not know their size in advance anyway.

const EBML = 0x1a45dfa3;
const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;

function nextElement(bytes, at) {
  const id = readID(bytes, at);
  if (id === undefined) return undefined;
  const size = readSize(bytes, id.end);
  if (size === undefined) return undefined;
  if (id.id === SEGMENT || id.id === CLUSTER) return { starts: id.id === CLUSTER, end: size.end };
  const end = size.end + size.size;
  return end <= bytes.length ? { starts: false, end } : undefined;
}

function readID(bytes, at) {
  const length = Math.clz32(bytes[at] ?? 0) - 23;
  if (at + length > bytes.length || length > 4) return undefined;
  let id = 0;
  for (let i = 0; i < length; i++) id = id * 256 + bytes[at + i];
  return { id, end: at + length };
}

function readSize(bytes, at) {
  if (at >= bytes.length) return undefined;
  const length = Math.clz32(bytes[at]) - 23;
  if (at + length > bytes.length) return undefined;
  let size = bytes[at] & (0xff >> length);
  for (let i = 1; i < length; i++) size = size * 256 + bytes[at + i];
  return { size, end: at + length };
}

// MP4: boxes, each a size, a type and the rest. A fragment is a moof box and the mdat box behind it.

function nextBox(bytes, at) {
  if (at + 8 > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, Math.min(16, bytes.length - at));
  let size = view.getUint32(0);
  if (size === 1) {
    if (view.byteLength < 16) return undefined;
    size = Number(view.getBigUint64(8));
  }
  const end = at + size;
  if (size < 8 || end > bytes.length) return undefined;
  return { starts: String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === "moof", end };
}
