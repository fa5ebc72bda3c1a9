import { backlog } from "./connection.js";
import { Recording } from "./recording.js";

const ANSWER_MILLISECONDS = 5000; // how long to wait for stream:started
const RETRY_MILLISECONDS = 2000; // between attempts to take a stream back after a lost connection
const RETRY_LIMIT_MILLISECONDS = 60_000; // the server notices within 45 s, by default, that a connection has vanished
const BACKLOG_LIMIT = 2 << 20; // bytes waiting in this browser; more, and pieces are left out until it has drained

/**
 * Broadcast sends one MediaStream under one stream name, and starts anew by itself after a lost connection.
 *
 *   stream:start {streamId, mimeType, header, secret}     → stream:started {status, streamId}, ack {success, secret}
 *   stream:data  {streamId, seq, start, mimeType, chunk}  start: a viewer may begin to play with this chunk
 *   stream:stop  {streamId}                               → stream:stopped {status, streamId}
 *
 * By the secret of the acknowledgement the stream goes on although a lost connection still holds its name. The server
 * hands the header of stream:start to everyone who has joined, and to everyone who joins later, as stream:data
 * {streamId, header: true, chunk}.
 */
export class Broadcast {
  #socket;
  #on;
  #phase = "off"; // "off", "starting", "live" or "interrupted"
  #streamId = "";
  #media = null;
  #recording = null;
  #header = null;
  #seq = 0;
  #awaitStart = true;
  #timer = 0;
  #secret; // shows after a lost connection that the stream is ours
  #held = false; // the server has, or is about to have, the stream: on this connection or on one that was lost
  #retryUntil = 0;

  /** on holds onPhase(phase), onViewers(count), onSent(bytes) and onFailure(message). */
  constructor(socket, on) {
    this.#socket = socket;
    this.#on = on;
    socket.on("connect", () => this.#connected());
    socket.on("disconnect", () => this.#disconnected());
    socket.on("stream:started", (message) => this.#started(message));
    socket.on("stream:stopped", (message) => this.#stopped(message));
    socket.on("stream:viewers", (message) => {
      if (this.#phase !== "off" && message?.streamId === this.#streamId) this.#on.onViewers(message.viewers);
    });
    socket.on("error", () => this.#refused());
  }

  get phase() {
    return this.#phase;
  }

  /** retrying tells whether refusals are to be expected, because a lost connection may still hold the stream. */
  get retrying() {
    return this.#phase === "starting" && Date.now() < this.#retryUntil;
  }

  start(streamId, media) {
    this.#streamId = streamId;
    this.#media = media;
    this.#setPhase("starting");
    this.#record();
  }

  /** replace goes on with another MediaStream. Viewers see a short pause, because a new recording has a new header. */
  replace(media) {
    this.#media = media;
    if (this.#phase === "off") return;
    this.#setPhase("starting");
    this.#record();
  }

  stop() {
    if (this.#phase === "off") return;
    if (this.#held && this.#socket.connected && !this.retrying) {
      this.#socket.emit("stream:stop", { streamId: this.#streamId });
    }
    this.#end();
  }

  #record() {
    clearTimeout(this.#timer);
    this.#recording?.end();
    this.#header = null;
    this.#seq = 0;
    this.#awaitStart = true;
    try {
      this.#recording = new Recording(this.#media, {
        onHeader: (bytes) => {
          this.#header = bytes;
          this.#announce();
        },
        onMedia: (piece) => this.#send(piece),
        onError: (error) => this.#fail(error.message),
      });
    } catch (error) {
      this.#fail(error.message);
    }
  }

  #announce() {
    clearTimeout(this.#timer);
    if (this.#phase !== "starting" || this.#header === null || !this.#socket.connected) return;
    this.#held = true;
    const streamId = this.#streamId;
    const start = { streamId, mimeType: this.#recording.mimeType, header: this.#header, secret: this.#secret };
    this.#socket.emit("stream:start", start, (answer) => {
      if (answer?.success && streamId === this.#streamId && this.#phase !== "off") this.#secret = answer.secret;
    });
    this.#timer = setTimeout(() => this.#announce(), ANSWER_MILLISECONDS);
  }

  #started(message) {
    if (this.#phase !== "starting" || message?.streamId !== this.#streamId) return;
    clearTimeout(this.#timer);
    this.#retryUntil = 0;
    this.#setPhase("live");
  }

  #send({ start, bytes }) {
    const seq = this.#seq++;
    // Late is worse than incomplete: what the network does not take in time is left out, up to the next start.
    if (this.#phase !== "live" || backlog(this.#socket) > BACKLOG_LIMIT) this.#awaitStart = true;
    else if (start) this.#awaitStart = false;
    if (this.#awaitStart) return;
    const message = { streamId: this.#streamId, seq, start, chunk: bytes };
    if (start) message.mimeType = this.#recording.mimeType;
    this.#socket.emit("stream:data", message);
    this.#on.onSent(bytes.length);
  }

  #connected() {
    if (this.#phase !== "interrupted") {
      this.#announce();
      return;
    }
    this.#retryUntil = Date.now() + RETRY_LIMIT_MILLISECONDS;
    this.#setPhase("starting");
    this.#record();
  }

  #disconnected() {
    clearTimeout(this.#timer);
    // A stream that the server was not told of is announced by the next "connect"; one that it was starts anew.
    if (this.#phase === "off" || !this.#held) return;
    this.#recording?.end();
    this.#setPhase("interrupted");
  }

  #stopped(message) {
    if (this.#phase !== "live" || message?.streamId !== this.#streamId) return;
    this.#fail(`The server ended the stream${message.reason ? ` (${message.reason})` : ""}.`);
  }

  // The server answers a stream:start that it refuses with an "error" event, which the page shows. After a lost
  // connection whose secret had not come the name may still belong to it for a while; then it is worth asking again.
  #refused() {
    if (this.#phase !== "starting") return;
    clearTimeout(this.#timer);
    if (this.retrying) this.#timer = setTimeout(() => this.#announce(), RETRY_MILLISECONDS);
    else this.#end();
  }

  #fail(message) {
    this.#end();
    this.#on.onFailure(message);
  }

  #end() {
    clearTimeout(this.#timer);
    this.#recording?.end();
    this.#recording = null;
    this.#held = false;
    this.#secret = undefined;
    this.#retryUntil = 0;
    this.#setPhase("off");
  }

  #setPhase(phase) {
    this.#phase = phase;
    this.#on.onPhase(phase);
  }
}
