import { Broadcast } from "./broadcast.js";
import { openCamera } from "./camera.js";
import { count, duration, Rate } from "./figures.js";
import { Scene } from "./scene.js";

const $ = (id) => document.getElementById(id);

const STATUS = { off: "off air", starting: "starting", live: "live", interrupted: "reconnecting" };

/**
 * streamView runs the half of the page that streams. onPhase(phase, streamId) tells the page what the stream is doing,
 * notify(message) shows a message.
 */
export function streamView(socket, { onPhase, notify }) {
  const view = $("stream-view");
  const form = $("stream-form");
  const name = $("stream-id");
  const button = $("stream-button");
  const scene = new Scene($("scene"));
  let animation = null; // the canvas as a MediaStream
  let camera = null; // the camera as a MediaStream, while it is chosen
  let choices = 0; // counts the changes of the source, so that a camera that opens late is not used
  let ticker = null;
  let since = 0; // when the stream went live
  let viewers = 0;
  let rate = new Rate();

  const broadcast = new Broadcast(socket, {
    onPhase: (phase) => {
      if (phase === "live" && since === 0) since = Date.now();
      if (phase === "off") since = viewers = 0;
      showPhase(phase);
      onPhase(phase, name.value);
    },
    onViewers: (number) => {
      viewers = number;
      showViewers();
    },
    onSent: (bytes) => rate.add(bytes),
    onFailure: notify,
  });

  name.value = randomName();
  scene.label = name.value;
  name.addEventListener("input", () => {
    scene.label = name.value;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (broadcast.phase !== "off") {
      broadcast.stop();
      return;
    }
    rate = new Rate();
    broadcast.start(name.value, camera ?? (animation ??= scene.stream()));
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "source") choose(event.target.value);
  });
  $("copy").addEventListener("click", copyLink);

  async function choose(source) {
    const choice = ++choices;
    let opened = null;
    if (source === "camera") {
      try {
        opened = await openCamera();
      } catch (error) {
        if (choice !== choices) return;
        notify(`${error.message} The animation is used instead.`);
        form.elements.source.value = "canvas";
      }
      if (choice !== choices) {
        closeCamera(opened);
        return;
      }
    }
    const before = camera;
    camera = opened;
    camera?.getVideoTracks()[0].addEventListener("ended", () => {
      if (camera !== opened) return;
      notify("The camera has gone. The animation is used instead.");
      form.elements.source.value = "canvas";
      choose("canvas");
    });
    $("camera").srcObject = camera;
    $("camera").hidden = camera === null;
    $("scene").hidden = camera !== null;
    if (broadcast.phase !== "off" && camera !== before) broadcast.replace(camera ?? (animation ??= scene.stream()));
    closeCamera(before);
  }

  async function copyLink() {
    const copy = $("copy");
    try {
      await navigator.clipboard.writeText($("share-link").value);
      copy.textContent = "Copied";
    } catch {
      // Where scripts may not write to the clipboard, the link is left selected for the person to copy it.
      $("share-link").select();
      copy.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (copy.textContent = "Copy link"), 2000);
  }

  function showPhase(phase) {
    const on = phase !== "off";
    view.querySelector(".stage").dataset.phase = phase;
    $("stream-status").lastElementChild.textContent = STATUS[phase];
    button.textContent = on ? "Stop streaming" : "Start streaming";
    button.classList.toggle("stop", on);
    name.readOnly = on;
    $("share").hidden = !on;
    const link = new URL(`#watch=${name.value}`, location.href).href;
    $("share-link").value = link;
    $("open").href = link;
    showViewers();
    showFigures();
  }

  function showViewers() {
    const live = broadcast.phase === "live";
    $("stream-viewers").hidden = !live;
    $("stream-viewers").textContent = live ? count(viewers, "viewer") : "";
    $("stream-count").textContent = live ? viewers : "–";
  }

  function showFigures() {
    $("stream-time").textContent = since === 0 ? "–" : duration((Date.now() - since) / 1000);
    $("stream-rate").textContent = since === 0 ? "–" : String(rate);
  }

  return {
    /** retrying tells whether refusals by the server are to be expected. */
    get retrying() {
      return broadcast.retrying;
    },
    show() {
      view.hidden = false;
      if (ticker !== null) return;
      let ticks = 0;
      const clock = new Worker(new URL("ticker.js", import.meta.url));
      clock.addEventListener("message", () => {
        if (camera === null) scene.draw();
        if (++ticks % 15 === 0) showFigures();
        clock.postMessage(0);
      });
      ticker = clock;
    },
    hide() {
      view.hidden = true;
      broadcast.stop();
      ticker?.terminate();
      ticker = null;
      form.elements.source.value = "canvas";
      choose("canvas");
    },
  };
}

function closeCamera(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

// A name that nobody guesses: whoever has the link may watch, and nobody else.
function randomName() {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const random = crypto.getRandomValues(new Uint8Array(10));
  return Array.from(random, (byte) => letters[byte % letters.length]).join("");
}
