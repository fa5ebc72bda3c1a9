// The sharing example in real browsers: the page of examples/share, served by its own Caddyfile as it is. The scene in
// which a network fails has a Caddy of its own, which misses a client sooner.
//
// CHROMIUM     the browser. Default: /usr/bin/chromium.
// SCREENSHOTS  a folder; with it, the pictures of the documents are written there.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { root, startCaddy } from "./lib/caddy.mjs";
import { browserArgs } from "./lib/chromium.mjs";
import { request } from "./lib/http.mjs";
import { assertBuilt, caddyfile, DEADLINE, sha256, visit } from "./lib/share.mjs";

const CHROMIUM = process.env.CHROMIUM || "/usr/bin/chromium";

// A scene waits for most of its time, so two are on at once.
describe("the sharing example", { timeout: 30 * 60_000, concurrency: 2 }, () => {
  let caddy;
  let impatient; // misses a client that vanished after 1 s + 4 s
  let browser;
  let dir;

  before(async () => {
    assertBuilt();
    dir = await fs.mkdtemp(path.join(os.tmpdir(), "socketio-stream-share-"));
    [caddy, impatient] = await Promise.all([
      startCaddy({ file: caddyfile }),
      startCaddy({ file: caddyfile, socketio: { ping_interval: "1s", ping_timeout: "4s" } }),
    ]);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: browserArgs });
  });

  after(async () => {
    await browser?.close();
    await Promise.all([caddy?.stop(), impatient?.stop()]);
    if (dir !== undefined) await fs.rm(dir, { recursive: true });
  });

  /** big writes a file: one on the disk is picked at once, bytes take the browser's protocol seconds. */
  async function big(size, name = "big.bin") {
    const bytes = randomBytes(size);
    const file = path.join(await fs.mkdtemp(path.join(dir, "file-")), name);
    await fs.writeFile(file, bytes);
    return { bytes, file };
  }

  /**
   * scene runs a test with visitors of its own, and fails when a page threw an error or complained. They visit the
   * example as it is, unless another server is asked for.
   */
  function scene(title, run, server = () => caddy) {
    it(title, async () => {
      const visitors = [];
      const enter = async (options) => {
        const visitor = await visit(browser, server().url, options);
        visitors.push(visitor);
        return visitor;
      };
      const pair = async (options) => {
        const ada = await enter({ name: "Ada", ...options });
        const bob = await enter({ name: "Bob", link: await ada.link(), ...options });
        await ada.sees("Ada", "Bob");
        return { ada, bob };
      };
      try {
        await run({ enter, pair });
        assert.deepEqual(visitors.flatMap(({ complaints }) => complaints), []);
      } finally {
        await Promise.all(visitors.map((visitor) => visitor.close()));
      }
    });
  }

  scene("shares text between those who have the link, also with those who come later", async ({ enter, pair }) => {
    const { ada, bob } = await pair();
    await bob.sees("Ada", "Bob");
    await ada.write("Hello Bob <b>&amp;</b>");
    await bob.reads("Hello Bob <b>&amp;</b>");
    await bob.write("Hello Ada");
    await ada.reads("Hello Ada");
    const carol = await enter({ name: "Carol", link: await bob.link() });
    await carol.reads("Hello Bob");
    await carol.reads("Hello Ada");
    await carol.page.locator("#news", { hasText: "Hello" }).waitFor({ state: "attached" });
    for (const visitor of [ada, bob, carol]) await visitor.sees("Ada", "Bob", "Carol");
    await bob.page.getByRole("button", { name: "Leave" }).click();
    for (const visitor of [ada, carol]) await visitor.sees("Ada", "Carol");
    await carol.close();
    await ada.sees("Ada");
    await ada.page.locator("#news", { hasText: "Carol has left." }).waitFor({ state: "attached" });
  });

  scene("shares files both ways at once, with progress on both sides", async ({ pair }) => {
    const { ada, bob } = await pair();
    const there = await big(8_000_000, "there.bin");
    const back = await big(6_000_001, "back.bin");
    const steps = await Promise.all([ada, bob].flatMap((one) => [one.watch("there.bin"), one.watch("back.bin")]));
    await Promise.all([ada.share(there.file), bob.share(back.file)]);
    for (const visitor of [ada, bob]) await Promise.all([visitor.has("there.bin"), visitor.has("back.bin")]);
    assert.equal(await bob.save("there.bin"), sha256(there.bytes));
    assert.equal(await ada.save("back.bin"), sha256(back.bytes));
    for (const told of steps) {
      const seen = await told();
      assert.ok(seen.length >= 3, `the progress was seen only ${seen.length} times`);
      assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
    }
    await ada.file("there.bin").getByText("Received by Bob.").waitFor();
    await bob.file("there.bin").getByRole("button", { name: "Checksum" }).click();
    await bob.file("there.bin").getByText(sha256(there.bytes)).waitFor();
  });

  scene("completes a file when its sender, or its receiver, was offline in the middle", async ({ pair }) => {
    const { bytes, file } = await big(9_000_000);
    const interrupt = async (away) => {
      const { ada, bob } = await pair();
      const one = away === "sender" ? ada : bob;
      await ada.holdAt(5_000_000);
      await ada.share(file);
      await one.moving("big.bin", 5);
      await one.context.setOffline(true);
      await one.page.waitForSelector("#connection[data-status=interrupted]");
      assert.equal(await one.file("big.bin").getAttribute("data-state"), "moving");
      await ada.goOn();
      await one.context.setOffline(false);
      await one.connected();
      await bob.has("big.bin");
      await ada.has("big.bin");
      assert.equal(await bob.save("big.bin"), sha256(bytes));
      // The server notices in the end that the lost connection is one.
      for (const visitor of [ada, bob]) await visitor.sees("Ada", "Bob");
    };
    // A browser that is offline misses a server on its own machine only when the heartbeat fails: both wait at once.
    await Promise.all([interrupt("sender"), interrupt("receiver")]);
  }, () => impatient);

  scene("gives files to those who come late", async ({ enter, pair }) => {
    const { ada, bob } = await pair();
    const bytes = randomBytes(1_000_000);
    await ada.share({ name: "early.bin", mimeType: "", buffer: bytes });
    await bob.has("early.bin");
    const carol = await enter({ name: "Carol", link: await ada.link() });
    await carol.has("early.bin");
    assert.equal(await carol.save("early.bin"), sha256(bytes));
    await carol.close();
    const large = await big(12_000_000);
    await ada.share(large.file);
    await bob.has("big.bin");
    const dave = await enter({ name: "Dave", link: await ada.link() });
    await dave.file("big.bin").getByRole("button", { name: "Get it" }).click();
    await dave.has("big.bin");
    assert.equal(await dave.save("big.bin"), sha256(large.bytes));
  });

  scene("takes files that are dropped or pasted, and shows pictures", async ({ pair }) => {
    const { ada, bob } = await pair();
    const icon = await fs.readFile(path.join(root, "docs/images/streaming-phone.png"));
    for (const way of ["drop", "paste"]) {
      await ada.page.evaluate(
        ([event, base64]) => {
          const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], `${event}.png`, { type: "image/png" }));
          const init = { bubbles: true, cancelable: true };
          if (event === "drop") {
            const target = document.querySelector("#feed");
            target.dispatchEvent(new DragEvent("dragover", { ...init, dataTransfer: data }));
            target.dispatchEvent(new DragEvent("drop", { ...init, dataTransfer: data }));
          } else {
            document.querySelector("#text").dispatchEvent(new ClipboardEvent("paste", { ...init, clipboardData: data }));
          }
        },
        [way, icon.toString("base64")],
      );
      for (const visitor of [ada, bob]) {
        const picture = visitor.page.getByRole("img", { name: `${way}.png` });
        await picture.waitFor();
        await visitor.page.waitForFunction(
          (image) => image.complete && image.naturalWidth > 0,
          await picture.elementHandle(),
        );
      }
      assert.equal(await bob.save(`${way}.png`), sha256(icon));
    }
    assert.equal(await ada.page.locator(".drop").count(), 0);
  });

  scene("cancels a file on both sides", async ({ pair }) => {
    const { ada, bob } = await pair();
    await ada.holdAt(4_000_000);
    await ada.share((await big(8_000_000)).file);
    await bob.moving("big.bin", 1);
    await ada.file("big.bin").getByRole("button", { name: "Cancel" }).click();
    await ada.file("big.bin").getByText("You cancelled it.").waitFor();
    await bob.file("big.bin").getByText("was cancelled by Ada").waitFor();
  });

  scene("lets nobody in who has half of the link, or another key", async ({ enter }) => {
    const ada = await enter({ name: "Ada" });
    const link = await ada.link();
    const forged = link.slice(0, -10) + "A".repeat(9) + "A";
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(DEADLINE);
    try {
      const page = await context.newPage();
      await page.goto(forged);
      await page.fill("#name", "Eve");
      await page.click("button[type=submit]");
      await page.getByText("The key in this link is not the session's.").waitFor();
      await page.goto("about:blank");
      await page.goto(link.slice(0, -10));
      await page.getByRole("button", { name: "Start a session" }).waitFor();
    } finally {
      await context.close();
    }
    await ada.sees("Ada");
  });

  scene("never sends the key, nor what is shared, to the server", async ({ pair }) => {
    const { ada, bob } = await pair();
    const frames = [];
    const protocol = await ada.context.newCDPSession(ada.page);
    await protocol.send("Network.enable");
    protocol.on("Network.webSocketFrameSent", ({ response }) => frames.push(response.payloadData));
    protocol.on("Network.requestWillBeSent", ({ request }) => frames.push(`${request.url} ${request.postData ?? ""}`));
    await ada.page.reload();
    await ada.page.click("button[type=submit]");
    await ada.connected();
    await ada.write("the secret plan");
    await bob.reads("the secret plan");
    await ada.share({ name: "plan.txt", mimeType: "text/plain", buffer: Buffer.from("attack at noon ".repeat(100)) });
    await bob.has("plan.txt");
    const sent = frames.map((frame) => frame + Buffer.from(frame, "base64").toString("latin1")).join("\n");
    assert.ok(sent.includes("join"), "the frames were seen");
    const key = new URL(await ada.link()).hash.split(".")[1];
    for (const secret of [key, "secret plan", "plan.txt", "text/plain", "attack at noon"]) {
      assert.ok(!sent.includes(secret), `"${secret}" was sent`);
    }
  });

  scene("fits a phone 360 pixels wide", async ({ enter, pair }) => {
    const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
    const { ada, bob } = await pair(phone);
    await fits(ada.page);
    await ada.write("w".repeat(300));
    await ada.share({ name: `${"n".repeat(200)}.bin`, mimeType: "", buffer: randomBytes(100_000) });
    await bob.has("nnn");
    const carol = await enter({ name: "C".repeat(64), link: await ada.link(), ...phone });
    for (const { page } of [ada, bob, carol]) await fits(page);
  });

  scene("can be used without a mouse, and names what it shows", async ({ pair }) => {
    const { ada, bob } = await pair();
    await ada.page.focus("#text");
    await ada.page.keyboard.type("first line");
    await ada.page.keyboard.press("Shift+Enter");
    await ada.page.keyboard.type("second line");
    await ada.page.keyboard.press("Enter");
    await bob.reads("first line\nsecond line");
    assert.equal(await ada.page.inputValue("#text"), "");
    for (const role of ["textbox", "button", "link", "img", "progressbar"]) {
      for (const element of await bob.page.getByRole(role).all()) {
        const name = await element.evaluate((e) => e.labels?.[0]?.textContent || e.ariaLabel || e.alt || e.textContent);
        assert.ok(name.trim(), `a ${role} has no name: ${await element.evaluate((e) => e.outerHTML)}`);
      }
    }
    await bob.page.locator("#news", { hasText: "first line" }).waitFor({ state: "attached" });
  });

  it("serves the page's own files under its policy, and nothing beside them", async () => {
    for (const file of ["/Caddyfile", "/package.json", "/src/main.tsx", "/node_modules/react/package.json", "/../Caddyfile"]) {
      assert.equal((await request(caddy, file)).status, 404, file);
    }
    const { status, headers } = await request(caddy, "/");
    assert.equal(status, 200);
    assert.match(headers["content-security-policy"], /^default-src 'none'; script-src 'self'; style-src 'self';/);
  });

  it("works below a path, next to the other example", async () => {
    const both = await startCaddy({ file: path.join(root, "Caddyfile.example") });
    const visitors = [];
    try {
      assert.equal((await request(both, "/share")).headers.location, "/share/");
      visitors.push(await visit(browser, both.url, { name: "Ada", link: `${both.url}/share/` }));
      visitors.push(await visit(browser, both.url, { name: "Bob", link: await visitors[0].link() }));
      await visitors[0].write("Hello Bob");
      await visitors[1].reads("Hello Bob");
      assert.deepEqual(visitors.flatMap(({ complaints }) => complaints), []);
    } finally {
      await Promise.all(visitors.map((visitor) => visitor.close()));
      await both.stop();
    }
  });

  if (process.env.SCREENSHOTS) {
    scene("is photographed for the documents", async ({ enter }) => {
      await photograph(enter, browser, path.resolve(process.env.SCREENSHOTS));
    });
  }
});

async function fits(page) {
  const { scroll, width } = await page.evaluate(() => ({
    scroll: document.documentElement.scrollWidth,
    width: document.documentElement.clientWidth,
  }));
  assert.equal(width, 360);
  assert.equal(scroll, width, "the page scrolls sideways");
}

/** photograph writes share-desktop.png, two browsers side by side, and share-phone.png. */
async function photograph(enter, browser, folder) {
  await fs.mkdir(folder, { recursive: true });
  const desktop = { viewport: { width: 980, height: 640 } };
  const ada = await enter({ name: "Ada", ...desktop });
  const link = await ada.link();
  const bob = await enter({ name: "Bob", link, ...desktop, colorScheme: "dark" });
  const phone = await enter({
    name: "Carol",
    link,
    viewport: { width: 390, height: 780 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
    colorScheme: "dark",
  });
  const all = [ada, bob, phone];
  for (const visitor of all) await visitor.sees("Ada", "Bob", "Carol");
  await ada.write("Here is the view from this morning.");
  await bob.reads("this morning");
  await ada.share({ name: "morning.png", mimeType: "image/png", buffer: await landscape(browser) });
  for (const visitor of all) await visitor.has("morning.png");
  await bob.write("Lovely! The film is on its way.");
  await ada.reads("on its way");
  await phone.reads("on its way");
  // The film stops half-way for the picture: the browser that sends it holds it up.
  await bob.holdAt(15_000_000);
  await bob.share({ name: "film.mp4", mimeType: "video/mp4", buffer: randomBytes(24_000_000) });
  for (const visitor of all) await visitor.moving("film.mp4", 62);
  for (const { page } of all) {
    await page.evaluate(() => {
      document.activeElement.blur();
      document.querySelector("#feed").scrollTop = 1e6;
      scrollTo(0, 1e6);
    });
  }
  const shots = [await ada.page.screenshot(), await bob.page.screenshot()];
  await phone.page.screenshot({ path: path.join(folder, "share-phone.png") });

  const frame = await (await browser.newContext({ viewport: { width: 1680, height: 552 } })).newPage();
  const tabs = shots.map((shot) => `<img src="data:image/png;base64,${shot.toString("base64")}">`).join("");
  await frame.setContent(`<style>
    body { margin: 0; padding: 32px; display: flex; gap: 24px; background: #dfe5ea; }
    img { width: 796px; border-radius: 10px; box-shadow: 0 10px 30px rgb(16 24 40 / 0.25); }
  </style>${tabs}`);
  await frame.screenshot({ path: path.join(folder, "share-desktop.png"), fullPage: true });
  await frame.context().close();
}

/** landscape draws a picture to share. */
async function landscape(browser) {
  const page = await (await browser.newContext({ viewport: { width: 720, height: 300 } })).newPage();
  await page.setContent(`<style>body { margin: 0 }</style><svg viewBox="0 0 720 300" width="720" height="300">
    <defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1">
      <stop offset="0" stop-color="#23406e"/><stop offset=".55" stop-color="#d98c6a"/><stop offset="1" stop-color="#ffd9a0"/>
    </linearGradient></defs>
    <rect width="720" height="300" fill="url(#sky)"/><circle cx="500" cy="190" r="34" fill="#fff1c9"/>
    <path d="M0 230 120 130l90 70 110-110 140 130 90-60 170 90v80H0z" fill="#4a4668"/>
    <path d="M0 262c120-40 220-20 330-4s240-30 390-8v50H0z" fill="#2b3350"/></svg>`);
  const picture = await page.screenshot();
  await page.context().close();
  return picture;
}
