import { connect } from "./connection.js";
import { streamView } from "./stream-view.js";
import { watchView } from "./watch-view.js";

const $ = (id) => document.getElementById(id);

if (typeof globalThis.io === "function") run();
else notify("The Socket.IO client did not load: serve_client is off, or the CDN is out of reach.");

function run() {
  const socket = connect(({ phase, transport }) => {
    const pill = $("connection");
    pill.dataset.phase = phase;
    pill.lastElementChild.textContent = phase === "connected" ? `connected · ${transport}` : phase;
    if (phase === "disconnected") notify("The server has ended the connection. Load the page again to come back.");
  });
  socket.on("connect_error", (error) => {
    // A lost connection shows in the pill; a refusal by the server itself has to be read.
    if (!socket.active) notify(`The server refuses the connection: ${error.message}`);
  });

  const stream = streamView(socket, { onPhase: streaming, notify });
  const watch = watchView(socket);
  socket.on("error", ({ message, code } = {}) => {
    if (stream.retrying) return;
    notify(`The server says: ${message ?? "an error"}${code === undefined ? "" : ` (${code})`}`);
  });

  // #watch=<name> watches that stream, #watch asks for a name, anything else streams.
  const route = () => {
    const wanted = /^#watch(?:=([A-Za-z0-9_-]{1,64}))?$/.exec(location.hash);
    if (wanted) {
      stream.hide();
      watch.show(wanted[1] ?? "");
    } else {
      watch.hide();
      stream.show();
    }
    for (const [tab, current] of [["stream-tab", !wanted], ["watch-tab", Boolean(wanted)]]) {
      if (current) $(tab).setAttribute("aria-current", "page");
      else $(tab).removeAttribute("aria-current");
    }
    document.title = `${wanted ? "Watch" : "Stream"} · Live streaming with Caddy`;
  };
  addEventListener("hashchange", route);
  route();
}

function streaming(phase, streamId) {
  if (phase === "starting") $("notice").hidden = true;
  // Leaving the half that streams would end the stream, so meanwhile the link to the other half opens a new tab.
  const tab = $("watch-tab");
  tab.href = phase === "off" ? "#watch" : `#watch=${streamId}`;
  if (phase === "off") tab.removeAttribute("target");
  else tab.target = "_blank";
}

function notify(message) {
  const notice = $("notice");
  notice.querySelector("p").textContent = message;
  notice.hidden = false;
}

$("notice").querySelector("button").addEventListener("click", () => ($("notice").hidden = true));

// The part behind the # names what to watch here, so the link that skips the header must not write to it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
