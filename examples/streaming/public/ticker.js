// A browser slows the timers of a page down to one call per second while its tab is in the background, and pauses its
// animation frames. The streamer's tab is in the background as soon as one watches in another tab. The timers of a
// worker keep their pace, so this worker is the page's clock.

const FRAMES_PER_SECOND = 30;

setInterval(() => postMessage(0), 1000 / FRAMES_PER_SECOND);
