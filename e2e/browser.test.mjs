// The streaming example in a real browser: the page of examples/streaming, served by Caddyfile.example as it is. The
// scenes in which a network fails have a Caddy of their own, which misses a client sooner.
//
// CHROMIUM     the browser. Default: /usr/bin/chromium.
// SCREENSHOTS  a folder; with it, the pictures of the documents are written there.

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { root, startCaddy } from "./lib/caddy.mjs";
import { mediaArgs } from "./lib/chromium.mjs";
import { request } from "./lib/http.mjs";
import { startBrowser } from "./lib/tabs.mjs";

const DEADLINE = 120_000;
const CHROMIUM = process.env.CHROMIUM || "/usr/bin/chromium";

/** start starts the example, with options of socketio_stream in place of its own. */
function start(socketio) {
  return startCaddy({
    file: path.join(root, "Caddyfile.example"),
    env: { SOCKETIO_CLIENT: path.join(root, "e2e/node_modules/socket.io-client/dist") },
    socketio,
  });
}

// A scene waits for most of its time, so two are on at once.
describe("the streaming example", { timeout: 30 * 60_000, concurrency: 2 }, () => {
  let caddy;
  let impatient; // misses a client that vanished after 1 s + 4 s
  let browser;

  before(async () => {
    [caddy, impatient] = await Promise.all([start(), start({ ping_interval: "1s", ping_timeout: "4s" })]);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: mediaArgs });
  });

  after(async () => {
    await browser?.close();
    await Promise.all([caddy?.stop(), impatient?.stop()]);
  });

  /**
   * scene runs a test with contexts of its own, and fails when a page threw an error or broke its policy. The test's
   * function open opens a page of the server, which is the example as it is, unless another is asked for.
   */
  function scene(title, run, server = () => caddy) {
    it(title, async () => {
      const { url } = server();
      const complaints = [];
      const said = [];
      const contexts = [];
      const open = async (hash = "", { policy, script, ...options } = {}) => {
        const context = await browser.newContext({
          ignoreHTTPSErrors: true,
          viewport: { width: 1200, height: 800 },
          ...options,
        });
        contexts.push(context);
        context.setDefaultTimeout(DEADLINE);
        await context.addInitScript(keepPhases);
        if (policy !== undefined) await impose(context, `${url}/`, policy);
        if (script !== undefined) await context.addInitScript(script);
        const page = await context.newPage();
        page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.stack}`));
        page.on("console", (message) => {
          said.push(message.text());
          if (/Content Security Policy|Uncaught/.test(message.text())) complaints.push(message.text());
        });
        await page.goto(`${url}/${hash}`);
        return page;
      };
      try {
        await run(open);
      } catch (error) {
        const pages = contexts.flatMap((context) => context.pages());
        const states = await Promise.all(pages.map((page) => state(page).catch(String)));
        const shown = states.join("\n  ");
        const heard = said.join("\n  ") || "nothing";
        throw new Error(`${error.message}\nThe pages show:\n  ${shown}\nThey said:\n  ${heard}`, { cause: error });
      } finally {
        await Promise.all(contexts.map((context) => context.close()));
      }
      assert.deepEqual(complaints, []);
    });
  }

  scene("plays in another tab, for those who came early and for those who come late", async (open) => {
    const streamer = await open();
    const link = `#watch=${await streamer.inputValue("#stream-id")}`;
    const early = await open(link);
    await phase(early, "waiting");
    assert.equal(await early.textContent("#watch-message"), "Waiting for the stream to start.");

    await startStream(streamer);
    assert.equal(await streamer.inputValue("#share-link"), `${caddy.url}/${link}`);
    await plays(early);
    await textIs(streamer, "#connection", "connected · websocket");
    await textIs(early, "#connection", "connected · websocket");

    // The newcomer's first picture is not the stream's first.
    await early.waitForFunction(() => document.querySelector("#player").currentTime > 4);
    const late = await open(link);
    await plays(late);
    for (const page of [streamer, early, late]) await textIs(page, ".view:not([hidden]) .viewers", "2 viewers");

    await late.click("#stream-tab");
    for (const page of [streamer, early]) await textIs(page, ".view:not([hidden]) .viewers", "1 viewer");

    await streamer.click("#stream-button");
    await phase(streamer, "off");
    await phase(early, "ended");
    assert.equal(await early.textContent("#watch-message"), "The stream has ended.");
    assert.equal(await early.textContent("#watch-status"), "ended");

    // The same tabs do it a second time.
    await startStream(streamer);
    await plays(early);
  });

  it("goes on in a tab that is in the background, behind the tab that watches", async () => {
    const window = await startBrowser(CHROMIUM);
    try {
      const streamer = await window.open(caddy.url);
      await streamer.until("document.querySelector('#connection').dataset.phase === 'connected'");
      await streamer.evaluate("document.querySelector('#stream-button').click()");
      await streamer.until("document.querySelector('#stream-view .stage').dataset.phase === 'live'");
      const viewer = await window.open(await streamer.evaluate("document.querySelector('#share-link').value"));
      await streamer.until("document.hidden");
      await viewer.until("document.querySelector('#watch-view .stage').dataset.phase === 'live'");
      // The browser lets a tab in the background be for some seconds, and then calls its timers once a second.
      await streamer.evaluate("window.calls = []; setInterval(() => calls.push(performance.now()), 100)");
      await streamer.until("calls.length > 3 && calls.slice(-3).every((at, i) => at - calls.at(i - 4) > 900)");
      // Four seconds of video, and more than the one picture per second that a sleeping tab would have.
      const shown = "document.querySelector('#player').getVideoPlaybackQuality().totalVideoFrames";
      const time = "document.querySelector('#player').currentTime";
      const [frames, began] = [await viewer.evaluate(shown), await viewer.evaluate(time)];
      await viewer.until(`${time} > ${began + 4}`);
      assert.equal(await streamer.evaluate("document.hidden"), true);
      const more = (await viewer.evaluate(shown)) - frames;
      assert.ok(more > 8, `only ${more} pictures in four seconds`);
    } finally {
      await window.stop();
    }
  });

  scene("ends for the viewers when the streamer's page is closed", async (open) => {
    const streamer = await open();
    const link = `#watch=${await streamer.inputValue("#stream-id")}`;
    await startStream(streamer);
    const viewer = await open(link);
    await plays(viewer);
    await streamer.close();
    await phase(viewer, "ended");
  });

  scene("plays again for a viewer whose network was away", async (open) => {
    const streamer = await open();
    await startStream(streamer);
    const viewer = await open(`#watch=${await streamer.inputValue("#stream-id")}`);
    await plays(viewer);
    await viewer.context().setOffline(true);
    await phase(viewer, "interrupted");
    await textIs(viewer, "#connection", "reconnecting");
    await viewer.context().setOffline(false);
    await plays(viewer);
    await textIs(viewer, "#watch-viewers", "1 viewer");
  }, () => impatient);

  scene("starts anew by itself after the streamer's network was away", async (open) => {
    const streamer = await open();
    await startStream(streamer);
    const viewer = await open(`#watch=${await streamer.inputValue("#stream-id")}`);
    await plays(viewer);
    await streamer.context().setOffline(true);
    await phase(streamer, "interrupted");
    await streamer.context().setOffline(false);
    await phase(streamer, "live");
    await plays(viewer);
    // That the server held the stream for the lost connection meanwhile is nothing to bother anyone with.
    assert.equal(await streamer.isVisible("#notice"), false);
  }, () => impatient);

  scene("plays on when chunks are lost or damaged on the way", async (open) => {
    const streamer = await open();
    await startStream(streamer);
    const viewer = await open(`#watch=${await streamer.inputValue("#stream-id")}`);
    await plays(viewer);
    // Every tenth chunk is lost.
    await viewer.evaluate(async () => {
      const { Playback } = await import("/playback.js");
      const chunk = Playback.prototype.chunk;
      window.lost = 0;
      window.repair = () => (Playback.prototype.chunk = chunk);
      Playback.prototype.chunk = function (message) {
        if (message.seq % 10 === 3) window.lost++;
        else chunk.call(this, message);
      };
    });
    await plays(viewer);
    await viewer.waitForFunction(() => window.lost >= 3);
    await plays(viewer);
    // One chunk is noise: the viewer begins anew. It is one with a start: any other is left out, noise or not, by a
    // viewer that has just lost one.
    const past = await phasesOf(viewer);
    await viewer.evaluate(async () => {
      window.repair();
      const { Playback } = await import("/playback.js");
      const chunk = Playback.prototype.chunk;
      Playback.prototype.chunk = function (message) {
        if (!message.start) {
          chunk.call(this, message);
          return;
        }
        window.repair();
        chunk.call(this, { ...message, chunk: new Uint8Array(20_000).fill(0xa3).buffer });
      };
    });
    await wentThrough(viewer, "starting", past);
    await plays(viewer);
  });

  scene("records and plays MP4 where that is what the browser has", async (open) => {
    const streamer = await open("", {
      script: () => {
        const supported = MediaRecorder.isTypeSupported;
        MediaRecorder.isTypeSupported = (type) => !type.includes("webm") && supported.call(MediaRecorder, type);
      },
    });
    await startStream(streamer);
    const viewer = await open(`#watch=${await streamer.inputValue("#stream-id")}`);
    await plays(viewer);
  });

  scene("goes from the animation to the camera and back while it is live", async (open) => {
    const streamer = await open("", { permissions: ["camera", "microphone"] });
    await startStream(streamer);
    const viewer = await open(`#watch=${await streamer.inputValue("#stream-id")}`);
    await plays(viewer);
    assert.equal(await viewer.isVisible("#sound"), false);

    await streamer.check("input[value=camera]");
    await streamer.waitForSelector("#camera", { state: "visible" });
    await viewer.waitForSelector("#sound", { state: "visible" });
    await plays(viewer);

    await streamer.check("input[value=canvas]");
    await viewer.waitForSelector("#sound", { state: "hidden" });
    await plays(viewer);
  });

  scene("falls back to the animation where the camera is not allowed", async (open) => {
    const streamer = await open();
    // Not check(): the page may have gone back to the animation before it looks.
    await streamer.click("input[value=camera]");
    await textIs(streamer, "#notice p", "The camera was not allowed. The animation is used instead.");
    assert.equal(await streamer.isChecked("input[value=canvas]"), true);
    await startStream(streamer);
  });

  scene("shows the server's refusal of a name that is taken", async (open) => {
    const streamer = await open();
    await startStream(streamer);
    const rival = await open();
    await rival.fill("#stream-id", await streamer.inputValue("#stream-id"));
    await rival.click("#stream-button");
    await rival.waitForSelector("#notice", { state: "visible" });
    await phase(rival, "off");
    await phase(streamer, "live");
  });

  scene("leaves pictures out where drawing is slow, in place of answering late", async (open) => {
    const streamer = await open("", {
      script: () => {
        const { fillText } = CanvasRenderingContext2D.prototype;
        window.pictures = 0;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
          fillText.call(this, text, ...rest);
          if (!text.includes("frame")) return;
          window.pictures++;
          for (const end = performance.now() + 100; performance.now() < end;);
        };
      },
    });
    await streamer.waitForFunction(() => window.pictures >= 20);
    // What comes from the network waits its turn like this message. In it are the server's pings.
    const between = await streamer.evaluate(async () => {
      const before = window.pictures;
      const { port1, port2 } = new MessageChannel();
      await new Promise((resolve) => {
        port1.onmessage = resolve;
        port2.postMessage(0);
      });
      return window.pictures - before;
    });
    assert.ok(between <= 2, `a message waited for ${between} pictures`);
  });

  scene("fits a phone 360 pixels wide", async (open) => {
    const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
    const streamer = await open("", phone);
    await fits(streamer);
    await startStream(streamer);
    await fits(streamer);
    const viewer = await open(`#watch=${await streamer.inputValue("#stream-id")}`, phone);
    await plays(viewer);
    await fits(viewer);
    await viewer.evaluate(() => (location.hash = "#watch=" + "w".repeat(64)));
    await phase(viewer, "waiting");
    await fits(viewer);
  });

  scene("works under a policy without inline code and foreign sources", async (open) => {
    const policy = [
      "default-src 'none'",
      "script-src 'self'",
      "worker-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "media-src blob:",
      "connect-src 'self'",
    ].join("; ");
    const streamer = await open("", { policy });
    await startStream(streamer);
    const viewer = await open(`#watch=${await streamer.inputValue("#stream-id")}`, { policy });
    await plays(viewer);
  });

  it("serves the page's own files and nothing beside them", async () => {
    const status = async (file) => (await request(caddy, file)).status;
    assert.equal(await status("/socket.io/socket.io.min.js"), 200);
    assert.equal(await status("/segmenter.js"), 200);
    assert.equal(await status("/package.json"), 404);
    assert.equal(await status("/node_modules/socket.io-client/package.json"), 404);
  });

  if (process.env.SCREENSHOTS) {
    scene("is photographed for the documents", async (open) => {
      await photograph(open, browser, path.resolve(process.env.SCREENSHOTS));
    });
  }
});

/**
 * impose adds a policy to the page. To the browser a page that was changed on its way is one from the internet, and it
 * opens no WebSocket from there to this machine: such a page streams over polling.
 */
async function impose(context, url, policy) {
  await context.route(url, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), "content-security-policy": policy } });
  });
}

async function startStream(page) {
  await page.click("#stream-button");
  await phase(page, "live");
}

/** keepPhases runs in a page, and keeps the phases of its stages in the order in which they ended. */
function keepPhases() {
  window.phases = [];
  new MutationObserver((changes) => {
    for (const { target, oldValue } of changes) {
      if (target.matches(".stage")) window.phases.push(oldValue);
    }
  }).observe(document, { subtree: true, attributeFilter: ["data-phase"], attributeOldValue: true });
}

/** phasesOf tells how many phases of a page have ended. */
function phasesOf(page) {
  return page.evaluate(() => window.phases.length);
}

/** wentThrough waits until the page is, or has been, in a phase that ends after so many others. */
async function wentThrough(page, name, past) {
  try {
    await page.waitForFunction(
      ([wanted, before]) =>
        window.phases.slice(before).includes(wanted) ||
        document.querySelector(".view:not([hidden]) .stage").dataset.phase === wanted,
      [name, past],
    );
  } catch (error) {
    throw new Error(`the page was never ${name}`, { cause: error });
  }
}

/** phase waits until the visible half of the page is in a phase, which is to be one that lasts. */
async function phase(page, name) {
  const selector = `.view:not([hidden]) .stage[data-phase="${name}"]`;
  try {
    await page.waitForSelector(selector);
  } catch (error) {
    throw new Error(`the page did not become ${name}`, { cause: error });
  }
}

/** state tells what a page shows, for the message of a failed test. */
function state(page) {
  return page.evaluate(() => {
    const video = document.querySelector("#player");
    const { buffered } = video;
    const ranges = Array.from({ length: buffered.length }, (_, i) => `${buffered.start(i)}-${buffered.end(i)}`);
    return JSON.stringify({
      page: location.hash,
      phase: document.querySelector(".view:not([hidden]) .stage").dataset.phase,
      phases: window.phases.join(" "),
      connection: document.querySelector("#connection").textContent.trim(),
      notice: document.querySelector("#notice:not([hidden]) p")?.textContent,
      video: { time: video.currentTime, ready: video.readyState, seeking: video.seeking, paused: video.paused, ranges },
    });
  });
}

async function textIs(page, selector, text) {
  await page.waitForFunction(
    ([where, wanted]) => document.querySelector(where)?.textContent.trim() === wanted,
    [selector, text],
  );
}

/**
 * plays waits until the video moves on by a second, and shows pictures that are not black and differ. Where the machine
 * is busy the time goes on before the picture does.
 */
async function plays(page) {
  await phase(page, "live");
  const first = await picture(page);
  try {
    await page.waitForFunction(
      (before) => document.querySelector("#player").currentTime > before + 1,
      first.time,
    );
  } catch (error) {
    throw new Error(`the video did not move on from ${first.time}`, { cause: error });
  }
  let second;
  let different;
  const deadline = Date.now() + DEADLINE;
  do {
    await page.waitForTimeout(50);
    second = await picture(page);
    different = first.pixels.filter((value, i) => Math.abs(value - second.pixels[i]) > 8).length;
    assert.ok(Date.now() < deadline, `the picture stands still: ${different} of ${first.pixels.length} values differ`);
  } while (different <= 10);
  for (const { brightness } of [first, second]) assert.ok(brightness > 8, `the picture is black: ${brightness}`);
}

function picture(page) {
  return page.evaluate(() => {
    const video = document.querySelector("#player");
    const canvas = document.createElement("canvas");
    canvas.width = 64;
    canvas.height = 36;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const pixels = Array.from(data).filter((_, i) => i % 4 !== 3);
    return {
      time: video.currentTime,
      pixels,
      brightness: pixels.reduce((sum, value) => sum + value, 0) / pixels.length,
    };
  });
}

async function fits(page) {
  const { scroll, width } = await page.evaluate(() => ({
    scroll: document.documentElement.scrollWidth,
    width: document.documentElement.clientWidth,
  }));
  assert.equal(width, 360);
  assert.equal(scroll, width, "the page scrolls sideways");
}

/** photograph writes streaming-desktop.png, two tabs side by side, and streaming-phone.png. */
async function photograph(open, browser, folder) {
  await fs.mkdir(folder, { recursive: true });
  const link = "#watch=hello-caddy";
  const desktop = { viewport: { width: 980, height: 600 } };
  const streamer = await open("", desktop);
  await streamer.fill("#stream-id", "hello-caddy");
  await startStream(streamer);

  const viewer = await open(link, { ...desktop, colorScheme: "dark" });
  await inFullSwing(viewer);
  await textIs(streamer, "#stream-viewers", "1 viewer");
  const shots = [await streamer.screenshot(), await viewer.screenshot()];
  await viewer.close();

  const phone = await open(link, {
    viewport: { width: 390, height: 620 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
    colorScheme: "dark",
  });
  await inFullSwing(phone);
  await phone.screenshot({ path: path.join(folder, "streaming-phone.png") });

  const frame = await (await browser.newContext({ viewport: { width: 1680, height: 552 } })).newPage();
  const tabs = shots.map((shot) => `<img src="data:image/png;base64,${shot.toString("base64")}">`).join("");
  await frame.setContent(`<style>
    body { margin: 0; padding: 32px; display: flex; gap: 24px; background: #dfe5ea; }
    img { width: 796px; border-radius: 10px; box-shadow: 0 10px 30px rgb(16 24 40 / 0.25); }
  </style>${tabs}`);
  await frame.screenshot({ path: path.join(folder, "streaming-desktop.png"), fullPage: true });
  await frame.context().close();
}

/** inFullSwing waits until a viewer plays close to live, and its rate is the average over some seconds. */
async function inFullSwing(viewer) {
  await plays(viewer);
  await viewer.waitForFunction(() => {
    const number = (id) => parseFloat(document.querySelector(id).textContent);
    return number("#watch-rate") > 80 && number("#watch-buffer") < 0.8;
  });
}
