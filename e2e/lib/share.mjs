// The page of examples/share, as its visitors use it.
//
//   const ada = await visit(browser, caddy.url, { name: "Ada" });     starts a session
//   const bob = await visit(browser, caddy.url, { name: "Bob", link: await ada.link() });
//   await ada.share({ name: "a.bin", mimeType: "", buffer });
//   await bob.save("a.bin", path);
//
// What a page must not do (throw, complain in the console, break its policy) is in complaints.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import path from "node:path";
import { root } from "./caddy.mjs";

/** How long anything on a page may take, in milliseconds. */
export const DEADLINE = 120_000;

/** The example's Caddyfile. */
export const caddyfile = path.join(root, "examples/share/Caddyfile");

/** Throws unless the page was built. */
export function assertBuilt() {
  assert.ok(existsSync(path.join(root, "examples/share/dist/index.html")), "the page is not built: ./xcaddy.sh share");
}

/** Opens the page in a context of its own and enters a session: a new one, or that of a link. */
export async function visit(browser, url, { name, link = `${url}/`, ...options }) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1200, height: 800 },
    ...options,
  });
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  const visitor = new Visitor(name, context, page);
  await page.goto(link);
  await page.fill("#name", name);
  await page.click("button[type=submit]");
  await visitor.connected();
  return visitor;
}

class Visitor {
  complaints = [];

  constructor(name, context, page) {
    this.name = name;
    this.context = context;
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(`${name}: ${error.stack}`));
    page.on("console", (message) => {
      // A browser without a network says so for each attempt to connect.
      if (message.text().includes("ERR_INTERNET_DISCONNECTED")) return;
      if (["error", "warning"].includes(message.type())) {
        this.complaints.push(`${name}: ${message.text()} ${message.location().url}`);
      }
    });
  }

  /** Resolves once the page is in its session. */
  connected() {
    return this.page.waitForSelector("#connection[data-status=joined]");
  }

  /** The link to the session. */
  link() {
    return this.page.inputValue("#link");
  }

  /** Resolves once these, and no others, are in the session. */
  async sees(...names) {
    await this.page.waitForFunction(
      (wanted) => Array.from(document.querySelectorAll("#people span"), (e) => e.textContent).sort().join() === wanted,
      names.sort().join(),
    );
  }

  /** Shares a text. */
  async write(text) {
    await this.page.fill("#text", text);
    await this.page.click("button[type=submit]");
  }

  /** Resolves once a text is among what was shared. */
  async reads(text) {
    await this.page.locator(".item .text", { hasText: text }).first().waitFor();
  }

  /** Picks files to share: paths, or {name, mimeType, buffer}. */
  async share(...files) {
    await this.page.setInputFiles("#files", files);
  }

  /** The entry of a file. */
  file(name) {
    return this.page.locator(".item", { has: this.page.locator(".name b", { hasText: name }) });
  }

  /**
   * Reads no file further than to a place from here on, until goOn is called: what this page shares is on its way, and
   * not complete, for as long as a test needs it to be.
   */
  async holdAt(place) {
    await this.page.evaluate((limit) => {
      const { slice } = Blob.prototype;
      const going = new Promise((resolve) => (window.goOn = resolve));
      Blob.prototype.slice = function (start, ...rest) {
        const part = slice.call(this, start, ...rest);
        return start < limit ? part : { arrayBuffer: () => going.then(() => part.arrayBuffer()) };
      };
    }, place);
  }

  async goOn() {
    await this.page.evaluate(() => window.goOn());
  }

  /**
   * Resolves once a file is on its way, so many percent of it or more, and not complete. That passes, unless its sender
   * holds it.
   */
  async moving(name, percent = 0) {
    await this.page.waitForFunction(
      ([file, least]) => {
        const items = Array.from(document.querySelectorAll(".item"));
        const item = items.find((e) => e.querySelector(".name b")?.textContent === file);
        const bar = item?.querySelector("progress");
        return bar && bar.value >= (bar.max * least) / 100 && bar.value < bar.max;
      },
      [name, percent],
    );
  }

  /** Resolves once a file is complete. */
  async has(name, timeout = DEADLINE) {
    await this.page.locator('.item[data-state="done"]', { has: this.page.locator(".name b", { hasText: name }) }).waitFor({ timeout });
  }

  /** Saves a file that has arrived and returns its SHA-256. */
  async save(name) {
    const download = this.page.waitForEvent("download");
    await this.file(name).getByRole("link", { name: "Save" }).click();
    const saved = await download;
    assert.equal(saved.suggestedFilename(), name);
    return sha256File(await saved.path());
  }

  /** The steps of a file's progress bar, from the moment this is called. */
  async watch(name) {
    await this.page.evaluate((file) => {
      window.steps ??= {};
      const steps = (window.steps[file] = []);
      const look = () => {
        const items = Array.from(document.querySelectorAll(".item"));
        const item = items.find((e) => e.querySelector(".name b")?.textContent === file);
        const bar = item?.querySelector("progress");
        if (bar && bar.value !== steps.at(-1)) steps.push(bar.value);
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
    }, name);
    return () => this.page.evaluate((file) => window.steps[file], name);
  }

  close() {
    return this.context.close();
  }
}

/** The SHA-256 of bytes, in hexadecimal digits. */
export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

async function sha256File(file) {
  const hash = createHash("sha256");
  for await (const part of createReadStream(file)) hash.update(part);
  return hash.digest("hex");
}
