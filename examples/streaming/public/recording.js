import { segmenterFor } from "./segmenter.js";

const SLICE_MILLISECONDS = 200; // how often the recorder hands out what it has: the smaller, the closer to live
const KEY_FRAME_MILLISECONDS = 1000; // how long somebody who joins waits for a picture, at most
const VIDEO_BITS_PER_SECOND = 1_500_000;
const AUDIO_BITS_PER_SECOND = 96_000;

/** recordingType returns the first MIME type this browser can record, or "" when it can record none. */
export function recordingType(withAudio) {
  const types = withAudio
    ? ["video/webm;codecs=vp8,opus", "video/webm;codecs=vp9,opus", "video/mp4;codecs=avc1.42E01F,mp4a.40.2"]
    : ["video/webm;codecs=vp8", "video/webm;codecs=vp9", "video/mp4;codecs=avc1.42E01F"];
  types.push("video/webm", "video/mp4");
  return types.find((type) => globalThis.MediaRecorder?.isTypeSupported(type)) ?? "";
}

/**
 * Recording turns a MediaStream into one header and the pieces of media that follow it. A recorder cannot be continued
 * with other tracks, and its header belongs to its own pieces alone: a new source means a new Recording.
 */
export class Recording {
  #recorder;
  #segmenter;
  #onHeader;
  #onMedia;
  #ended = false;
  #reading = Promise.resolve();

  /** onHeader(bytes) is called once, before the first onMedia({start, bytes}). onError(error) ends the recording. */
  constructor(stream, { onHeader, onMedia, onError }) {
    const mimeType = recordingType(stream.getAudioTracks().length > 0);
    if (mimeType === "") throw new Error("This browser cannot record video.");
    this.#onHeader = onHeader;
    this.#onMedia = onMedia;
    this.#segmenter = segmenterFor(mimeType);
    this.#recorder = new MediaRecorder(stream, {
      mimeType,
      videoBitsPerSecond: VIDEO_BITS_PER_SECOND,
      audioBitsPerSecond: AUDIO_BITS_PER_SECOND,
      // Browsers without this option set key frames further apart: joining takes longer there, nothing else changes.
      videoKeyFrameIntervalDuration: KEY_FRAME_MILLISECONDS,
    });
    this.#recorder.addEventListener("dataavailable", ({ data }) => {
      // Blobs are read one after the other, so that their order survives the asynchronous reading.
      this.#reading = this.#reading.then(() => this.#read(data)).catch(onError);
    });
    this.#recorder.addEventListener("error", (event) => onError(event.error ?? new Error("The recording failed.")));
    this.#recorder.start(SLICE_MILLISECONDS);
  }

  get mimeType() {
    return this.#recorder.mimeType;
  }

  end() {
    this.#ended = true;
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
  }

  async #read(blob) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    for (const piece of this.#segmenter.push(bytes)) {
      if (this.#ended) return;
      if (piece.kind === "header") this.#onHeader(piece.bytes);
      else this.#onMedia(piece);
    }
  }
}
