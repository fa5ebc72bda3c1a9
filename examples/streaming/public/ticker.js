// A browser slows the timers of a page down to one call per second while its tab is in the background, and pauses its
// animation frames. The streamer's tab is in the background as soon as one watches in another tab. The timers of a
// worker keep their pace, so this worker is the page's clock. The page answers each call, and gets no other before: on
// a machine that draws more slowly than this, calls would pile up in the page, and its heartbeats behind them, until the
// server missed it.

const FRAMES_PER_SECOND = 30;

let answered = true;

addEventListener("message", () => (answered = true));

setInterval(() => {
  if (!answered) return;
  answered = false;
  postMessage(0);
}, 1000 / FRAMES_PER_SECOND);
