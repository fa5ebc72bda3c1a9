// Two browsers share a file both ways through Caddy over TLS, and again while one of them is offline in between. Prints
// what came of it, and the server's memory before, during and after. It takes a minute and is none of ./test.sh:
//
//   ./xcaddy.sh build && ./xcaddy.sh share && (cd e2e && npm ci) && node e2e/manual/share.mjs [<megabytes>]
//
// megabytes    how large the files are. Default: 50.
// CHROMIUM     the browser. Default: /usr/bin/chromium.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";
import { startCaddy } from "../lib/caddy.mjs";
import { browserArgs } from "../lib/chromium.mjs";
import { assertBuilt, caddyfile, sha256, visit } from "../lib/share.mjs";

const size = Number(process.argv[2] ?? 50) * 1e6;
const LIMIT = 10 * 60_000;

assertBuilt();
const dir = await fs.mkdtemp(path.join(os.tmpdir(), "socketio-stream-share-"));
const caddy = await startCaddy({ file: caddyfile });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: browserArgs,
});
try {
  const ada = await visit(browser, caddy.url, { name: "Ada" });
  const bob = await visit(browser, caddy.url, { name: "Bob", link: await ada.link() });
  await ada.sees("Ada", "Bob");

  console.log(`${size / 1e6} MB each, Chromium ${browser.version()}, ${os.cpus().length} processors`);
  await measured("Ada to Bob", () => pass(ada, bob, "there.bin"));
  await measured("Bob to Ada", () => pass(bob, ada, "back.bin"));
  await measured("both at once", () => Promise.all([pass(ada, bob, "ada.bin"), pass(bob, ada, "bob.bin")]));
  await measured("sender offline in between", () => pass(ada, bob, "sender.bin", ada));
  await measured("receiver offline in between", () => pass(ada, bob, "receiver.bin", bob));
  assert.deepEqual([...ada.complaints, ...bob.complaints], []);
} finally {
  await browser.close();
  await caddy.stop();
  await fs.rm(dir, { recursive: true });
}

/** pass shares a file, takes one side offline in the middle if there is one, and compares what arrived. */
async function pass(from, to, name, away) {
  const bytes = randomBytes(size);
  const file = path.join(dir, name);
  await fs.writeFile(file, bytes);
  const steps = await Promise.all([from.watch(name), to.watch(name)]);
  const began = Date.now();
  await from.share(file);
  let offline = 0;
  if (away !== undefined) {
    await away.moving(name, 40);
    const left = Date.now();
    await away.context.setOffline(true);
    await away.page.waitForSelector("#connection[data-status=interrupted]", { timeout: LIMIT });
    await away.context.setOffline(false);
    await away.connected();
    offline = Date.now() - left;
  }
  await Promise.all([from.has(name, LIMIT), to.has(name, LIMIT)]);
  const seconds = (Date.now() - began) / 1000;
  const [sum, arrived] = [sha256(bytes), await to.save(name)];
  assert.equal(arrived, sum, `${name} has not arrived as it was sent`);
  const [out, into] = await Promise.all(steps.map((told) => told()));
  const gone = offline === 0 ? "" : `, offline for ${(offline / 1000).toFixed(1)} s of it`;
  console.log(
    `  ${from.name} → ${to.name}: ${seconds.toFixed(1)} s${gone}, SHA-256 ${sum.slice(0, 16)}… on both sides, ` +
      `progress bar moved ${out.length} and ${into.length} times`,
  );
}

/** measured prints the server's resident memory before, at its peak, and after. */
async function measured(title, run) {
  console.log(title);
  const before = resident();
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, resident())), 20);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  console.log(`  server memory: ${before} MB before, ${peak} MB at its peak, ${resident()} MB after`);
}

/** resident returns the server's resident memory in megabytes. */
function resident() {
  const status = readFileSync(`/proc/${caddy.pid}/status`, "utf8");
  return Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 976.5625);
}
