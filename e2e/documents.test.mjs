// What the documents show to newcomers, done as they do it: the first page of the README in two tabs, and an event that a
// program on the server sends.

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { caddyBin, root, startCaddy } from "./lib/caddy.mjs";
import { connect, modes, withClients } from "./lib/client.mjs";
import { request } from "./lib/http.mjs";
import { startNginx } from "./lib/nginx.mjs";
import { startBrowser } from "./lib/tabs.mjs";

const client = path.join(root, "examples/streaming/node_modules/socket.io-client/dist");

/** Returns the first block of code that a page has in a language and that holds a text. */
async function block(page, language, text = "") {
  const content = await fs.readFile(path.join(root, page), "utf8");
  const blocks = [...content.matchAll(/^```(\w+)\n(.*?)^```$/gms)];
  const found = blocks.find(([, mark, code]) => mark === language && code.includes(text));
  assert.ok(found, `${page} has no ${language} with ${text}`);
  return found[2];
}

describe("the documents", () => {
  test("the first page shows in one tab what is said in the other", async () => {
    const page = await block("README.md", "html");
    const site = await block("README.md", "caddyfile");
    const caddy = await startCaddy({
      bin: caddyBin,
      caddyfile: ({ dir }) => site
        .replace("example.com", "localhost")
        .replace("/srv/www", dir)
        // There is no way to the CDN here.
        .replace("socketio_stream {", `socketio_stream {\n\t\tserve_client ${client}`),
    });
    const browser = await startBrowser(process.env.CHROMIUM || "chromium");
    try {
      await fs.writeFile(path.join(caddy.dir, "index.html"), page);
      const tabs = await Promise.all([browser.open(caddy.url), browser.open(caddy.url)]);
      // A message to a tab that is not connected yet would never come.
      for (const tab of tabs) await tab.until("socket.connected");
      const say = (text) => `
        document.querySelector("input").value = ${JSON.stringify(text)};
        document.querySelector("form").requestSubmit()`;
      await tabs[0].evaluate(say("Hello, you"));
      assert.equal(await tabs[1].until(`document.querySelector("li")?.textContent`), "Hello, you");
      await tabs[1].evaluate(say("<b>Hello</b>"));
      const lines = `[...document.querySelectorAll("li")].map((line) => line.textContent)`;
      for (const tab of tabs) {
        await tab.until(`document.querySelectorAll("li").length === 2`);
        assert.deepEqual(await tab.evaluate(lines), ["Hello, you", "<b>Hello</b>"]);
      }
    } finally {
      await browser.stop();
      await caddy.stop();
    }
  });

  test("Caddy behind nginx knows its clients, by every transport", async () => {
    const shown = await block("docs/configuration.md", "nginx");
    const [, global, site] = /^\{\n(.*?)^\}\n(.*)$/ms.exec(await block("docs/configuration.md", "caddyfile", "trusted_proxies"));
    const caddy = await startCaddy({
      bin: caddyBin,
      global,
      // There is a certificate by this name.
      caddyfile: `localhost {\n\trespond 204\n}\n` +
        site.replace("example.com:8080", "localhost").replace("status /status", "status /status\n\t\thealth /health"),
    });
    let nginx;
    try {
      nginx = await startNginx(caddy, {
        servers: ({ port, certificate, key }) => shown
          .replace("listen 443 ssl", `listen 127.0.0.1:${port} ssl`)
          .replace("server_name example.com", "server_name localhost")
          .replace("/etc/ssl/example.com.crt", certificate)
          .replace("/etc/ssl/example.com.key", key)
          .replace("127.0.0.1:8080", `127.0.0.1:${caddy.httpPort}`),
      });
      const front = { url: nginx.url, httpsPort: nginx.port, ca: caddy.ca };
      for (const mode of Object.keys(modes)) {
        // The page's own origin is known as that.
        const client = await connect(front, mode, { extraHeaders: { origin: nginx.url } });
        client.close();
      }
      const from = "127.0.0.2";
      const headers = { "X-Forwarded-For": "203.0.113.9" };
      assert.equal((await request(front, "/socket.io/?EIO=4&transport=polling", { from, headers })).status, 200);
      await caddy.logged(/"msg":"connection started".*"client_ip":"127\.0\.0\.2"/);
      assert.equal((await request(front, "/status", { from, headers })).status, 403);
      await caddy.logged(/"msg":"status refused".*"client_ip":"127\.0\.0\.2"/);
    } finally {
      await nginx?.stop();
      await caddy.stop();
    }
  });

  test("a program on the server sends an event by fetch", async () => {
    const code = await block("docs/admin.md", "js", "fetch(");
    const caddy = await startCaddy({ bin: caddyBin, caddyfile: "localhost {\n\tsocketio_stream\n}\n" });
    try {
      const run = (text) => import(`data:text/javascript,${encodeURIComponent(
        `${text.replace("http://localhost:2019", caddy.adminURL)}\nexport { response, receivers, error };`)}`);
      await withClients(caddy, async (join) => {
        const reached = await Promise.all(Object.keys(modes).map((mode) => join(mode)));
        const { response, receivers, error } = await run(code);
        assert.equal(response.status, 200, error);
        assert.equal(receivers, reached.length);
        for (const one of reached) assert.deepEqual(await one.next("notice"), [{ text: "restart at noon" }]);
        const refused = await run(code.replace(", Origin: admin", ""));
        assert.equal(refused.response.status, 403);
        assert.equal(refused.error, "client is not allowed to access from origin ''");
      });
    } finally {
      await caddy.stop();
    }
  });
});
