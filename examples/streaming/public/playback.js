import { mimeTypeOf } from "./segmenter.js";

const CATCH_UP_SECONDS = 1.5; // further behind than this, play a little faster
const CAUGHT_UP_SECONDS = 0.7;
const CATCH_UP_RATE = 1.08;
const JUMP_SECONDS = 4; // further behind than this, jump
const LANDING_SECONDS = 0.5; // where to land behind the newest picture, so that there is something to play
const TOLERANCE_SECONDS = 0.1; // how far beyond the newest picture the position may be
const KEEP_SECONDS = 15; // what is older than this is dropped from the buffer
const QUEUE_LIMIT = 200; // chunks waiting for the browser; more, and playback starts anew

/**
 * Playback plays a live stream in a video element, from one header and the chunks that follow it. It begins with the
 * first chunk that is marked as a start, stays close to the newest picture, and begins anew with the next start when
 * chunks are missing.
 */
export class Playback {
  #video;
  #on;
  #header = null;
  #fresh = false; // the header has not been given to a source yet
  #source = null;
  #buffer = null;
  #url = "";
  #queue = [];
  #seq = -1;
  #awaitStart = true;
  #positioned = false;
  #mimeType = "";

  /**
   * on holds onPlaying(), onBlocked() where the browser wants a click first, onUnsupported(mimeType), and
   * onBroken(reason), after which a new header is needed.
   */
  constructor(video, on) {
    this.#video = video;
    this.#on = on;
    video.disableRemotePlayback = true; // ManagedMediaSource, the only one on iPhones, asks for it.
    video.addEventListener("playing", () => {
      if (this.#source) this.#on.onPlaying();
    });
    video.addEventListener("error", () => {
      if (this.#source) this.#broken(video.error?.message || "The video could not be decoded.");
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#follow();
    });
  }

  /** behind returns the seconds between what is shown and the newest picture received. */
  get behind() {
    const { buffered, currentTime } = this.#video;
    return buffered.length > 0 ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0;
  }

  /** hasSound tells whether the stream has sound. The element itself tells it in every browser in another way. */
  get hasSound() {
    return this.#source !== null && /opus|mp4a|vorbis/.test(this.#mimeType);
  }

  /** header takes the initialization segment, which must come before the first chunk. */
  header(chunk) {
    this.#header = chunk;
    this.#fresh = true;
    this.#awaitStart = true;
  }

  chunk({ seq, start, mimeType, chunk }) {
    if (seq !== this.#seq + 1) this.#awaitStart = true;
    if (this.#header === null || (this.#awaitStart && !start)) return;
    if (this.#fresh || this.#source === null) this.#open(mimeTypeOf(this.#header) || mimeType);
    else if (this.#awaitStart) this.#queue.push("abort");
    if (this.#source === null) return;
    this.#awaitStart = false;
    this.#seq = seq;
    this.#queue.push(chunk);
    if (this.#queue.length > QUEUE_LIMIT) this.#broken("The browser does not keep up with the stream.");
    else this.#pump();
  }

  /** finish forgets the stream, and leaves its last picture where it is. */
  finish() {
    this.#header = null;
    this.#fresh = false;
    this.#seq = -1;
    this.#awaitStart = true;
  }

  /** close forgets the stream and its picture. */
  close() {
    this.finish();
    this.#source = null;
    this.#buffer = null;
    this.#queue = [];
    if (this.#url === "") return;
    URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  #open(mimeType) {
    const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
    if (!Source?.isTypeSupported(mimeType)) {
      this.close();
      this.#on.onUnsupported(mimeType);
      return;
    }
    const source = new Source();
    this.#source = source;
    this.#mimeType = mimeType;
    this.#buffer = null;
    this.#fresh = false;
    this.#positioned = false;
    this.#queue = [this.#header];
    source.addEventListener("sourceopen", () => {
      if (source !== this.#source) return; // A newer one has taken its place.
      this.#buffer = source.addSourceBuffer(mimeType);
      this.#buffer.addEventListener("updateend", () => {
        if (source !== this.#source) return;
        this.#follow();
        this.#pump();
      });
      this.#pump();
    }, { once: true });
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(source);
    this.#video.src = this.#url;
  }

  // A source buffer does one thing at a time; the next is begun when "updateend" tells that it is done.
  #pump() {
    const buffer = this.#buffer;
    if (buffer === null || this.#source.readyState !== "open") return;
    try {
      if (this.#trim()) return;
      while (!buffer.updating && this.#queue.length > 0) {
        const next = this.#queue[0];
        if (next === "abort") buffer.abort();
        else buffer.appendBuffer(next);
        this.#queue.shift();
      }
    } catch (error) {
      this.#broken(error.message);
    }
  }

  #trim() {
    const { buffered, updating } = this.#buffer;
    if (updating || buffered.length === 0) return false;
    const until = buffered.end(buffered.length - 1) - KEEP_SECONDS;
    if (until - buffered.start(0) < KEEP_SECONDS) return false;
    this.#buffer.remove(0, until);
    return true;
  }

  // The stream begins somewhere after zero for those who join late, has holes where chunks were left out, and goes on
  // while a tab sleeps: in all three cases the place to be is near the end of what has arrived. That end may even move
  // back a little, because the duration of the last picture is a guess until the next one comes.
  #follow() {
    const video = this.#video;
    const { buffered } = video;
    if (this.#source === null || buffered.length === 0) return;
    const begin = buffered.start(buffered.length - 1);
    const end = buffered.end(buffered.length - 1);
    const behind = end - video.currentTime;
    const lost = video.currentTime < begin ? behind > LANDING_SECONDS : behind < -TOLERANCE_SECONDS;
    // A jump that is under way must not be overtaken by the next, or a slow device would never show a picture.
    const late = behind > JUMP_SECONDS && !video.seeking;
    if (!this.#positioned || lost || late) {
      this.#positioned = true;
      video.currentTime = Math.max(begin, end - LANDING_SECONDS);
      video.playbackRate = 1;
    } else if (behind > CATCH_UP_SECONDS) {
      video.playbackRate = CATCH_UP_RATE;
    } else if (behind < CAUGHT_UP_SECONDS) {
      video.playbackRate = 1;
    }
    if (video.paused) {
      video.play().catch((error) => {
        if (error.name === "NotAllowedError") this.#on.onBlocked();
      });
    }
  }

  #broken(reason) {
    this.close();
    this.#on.onBroken(reason);
  }
}
