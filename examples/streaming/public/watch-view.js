import { count, Rate } from "./figures.js";
import { Playback } from "./playback.js";

const $ = (id) => document.getElementById(id);

const JOIN_MILLISECONDS = 10_000; // how long to wait for the answer to stream:join
const STALL_MILLISECONDS = 3000; // without a chunk for this long, the page says so
const REJOIN_MILLISECONDS = 2000; // between attempts to begin anew

const STATUS = {
  idle: ["", "Enter the name of a stream to watch it."],
  joining: ["connecting", "Connecting…"],
  waiting: ["waiting", "Waiting for the stream to start."],
  starting: ["starting", "The stream is on; the picture comes with the next key frame."],
  live: ["live", ""],
  stalled: ["waiting", "The picture has stopped. Waiting for it to go on."],
  interrupted: ["reconnecting", "The connection is lost. Reconnecting…"],
  ended: ["ended", "The stream has ended."],
  failed: ["failed", ""],
};

/** watchView runs the half of the page that watches. */
export function watchView(socket) {
  const view = $("watch-view");
  const video = $("player");
  // By this the server knows the viewer again after a lost connection, and does not count it twice.
  const secret = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
  let streamId = "";
  let phase = "idle";
  let viewers = 0;
  let rate = new Rate();
  let rejoin = 0; // the timer of the next attempt
  let figures = 0; // the timer of the figures
  let newest = 0; // when the newest chunk came

  const playback = new Playback(video, {
    onPlaying: () => {
      if (phase === "starting" || phase === "joining" || phase === "waiting") setPhase("live");
    },
    onBlocked: () => ($("play").hidden = false),
    onUnsupported: (mimeType) => setPhase("failed", `This browser cannot play ${mimeType}.`),
    onBroken: (reason) => {
      console.warn("The playback begins anew:", reason);
      if (phase !== "live" && phase !== "stalled" && phase !== "starting") return;
      setPhase("starting");
      joinLater();
    },
  });

  socket.on("connect", () => {
    if (streamId !== "") join();
  });
  socket.on("disconnect", () => {
    if (streamId === "") return;
    clearTimeout(rejoin);
    playback.finish();
    setPhase("interrupted");
  });
  socket.on("stream:started", (message) => {
    if (watches(message)) setPhase("starting");
  });
  socket.on("stream:stopped", (message) => {
    if (!watches(message)) return;
    clearTimeout(rejoin);
    playback.finish();
    setPhase("ended");
  });
  socket.on("stream:viewers", (message) => {
    if (!watches(message)) return;
    viewers = message.viewers;
    showViewers();
  });
  socket.on("stream:data", (message) => {
    if (!watches(message) || phase === "failed" || !(message.chunk instanceof ArrayBuffer)) return;
    if (message.header === true) {
      if (phase === "waiting" || phase === "ended") setPhase("starting");
      playback.header(message.chunk);
      return;
    }
    newest = performance.now();
    rate.add(message.chunk.byteLength);
    if (phase === "stalled") setPhase("live");
    playback.chunk(message);
  });

  $("watch-form").addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = `watch=${$("watch-id").value}`;
  });
  $("play").addEventListener("click", () => {
    $("play").hidden = true;
    video.play();
  });
  $("sound").addEventListener("click", () => {
    video.muted = !video.muted;
    $("sound").textContent = video.muted ? "Sound on" : "Sound off";
  });
  $("full").hidden = !document.fullscreenEnabled;
  $("full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else view.querySelector(".stage").requestFullscreen();
  });

  // Where everyone hears every stream ("audience all"), the name tells which messages are meant.
  function watches(message) {
    return streamId !== "" && message?.streamId === streamId;
  }

  async function join() {
    clearTimeout(rejoin);
    const wanted = streamId;
    setPhase("joining");
    playback.finish();
    if (!socket.connected) return;
    let answer;
    try {
      answer = await socket.timeout(JOIN_MILLISECONDS).emitWithAck("stream:join", { streamId, secret });
    } catch {
      if (wanted === streamId && socket.connected) joinLater();
      return;
    }
    if (wanted !== streamId) return;
    if (!answer?.success) {
      setPhase("failed", `The server does not let you in: ${answer?.error ?? "no reason given"}.`);
      return;
    }
    viewers = answer.stream?.viewers ?? 0;
    // The first picture may have been faster than this answer.
    if (phase === "joining") setPhase(answer.stream?.live ? "starting" : "waiting");
    else showViewers();
  }

  function joinLater() {
    clearTimeout(rejoin);
    rejoin = setTimeout(join, REJOIN_MILLISECONDS);
  }

  function leave() {
    clearTimeout(rejoin);
    if (streamId !== "" && socket.connected) socket.emit("stream:leave", { streamId });
    streamId = "";
    playback.close();
  }

  function setPhase(next, message = STATUS[next][1]) {
    phase = next;
    view.querySelector(".stage").dataset.phase = next;
    $("watch-status").hidden = next === "idle";
    $("watch-status").lastElementChild.textContent = STATUS[next][0];
    $("watch-message").textContent = message;
    if (next === "live") $("play").hidden = true;
    $("sound").hidden = !playback.hasSound;
    showViewers();
    showFigures();
  }

  // The server tells how many watch a stream that is on, and nothing about one that is not.
  function showViewers() {
    const on = phase === "starting" || phase === "live" || phase === "stalled";
    $("watch-viewers").hidden = !on;
    $("watch-viewers").textContent = on ? count(viewers, "viewer") : "";
    $("watch-count").textContent = on ? viewers : "–";
  }

  function showFigures() {
    if (phase === "live" && performance.now() - newest > STALL_MILLISECONDS) setPhase("stalled");
    const playing = phase === "live";
    $("watch-buffer").textContent = playing ? `${playback.behind.toFixed(1)} s` : "–";
    $("watch-rate").textContent = playing ? String(rate) : "–";
  }

  return {
    show(name) {
      view.hidden = false;
      $("watch-id").value = name;
      clearInterval(figures);
      figures = setInterval(showFigures, 500);
      if (name !== "" && name === streamId) return;
      leave();
      streamId = name;
      rate = new Rate();
      if (name === "") setPhase("idle");
      else join();
    },
    hide() {
      view.hidden = true;
      clearInterval(figures);
      leave();
      setPhase("idle");
    },
  };
}
