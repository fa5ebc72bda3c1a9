// Publishing from the documents: each program that docs/publishing.md shows is run as it stands, but for the address,
// and what it sends reaches a real client.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { root, startCaddy } from "./lib/caddy.mjs";
import { connect } from "./lib/client.mjs";

const key = "4f1c0d9a7be24c3f8a6d5e2b1c0f9e8d";

/** Asks by HTTP without what a browser adds, and resolves with the status. */
function asked(url, { body, ...options }) {
  return new Promise((resolve, reject) => {
    http.request(url, options, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).once("error", reject).end(body);
  });
}

describe("the documents' programs", () => {
  let caddy;
  let client;
  let text;

  before(async () => {
    text = await fs.readFile(path.join(root, "docs/publishing.md"), "utf8");
    const [site] = blocks("caddyfile");
    caddy = await startCaddy({ caddyfile: site.replace("example.com", "localhost"), env: { PUBLISH_KEY: key } });
    client = await connect(caddy, "websocket");
    const join = `/socketio/hubs/default/sockets/${client.id}/join`;
    const body = JSON.stringify({ rooms: ["readers"] });
    const answer = await asked(caddy.adminURL + join, { method: "POST", body, headers: { "Content-Type": "application/json" } });
    assert.equal(answer, 200);
  });

  after(async () => {
    client?.close();
    await caddy?.stop();
  });

  /** The blocks of a language. */
  function blocks(language) {
    return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map(([, block]) => block);
  }

  /** Runs a block, with this server in place of example.com. */
  async function run(command, args, block) {
    const file = path.join(caddy.dir, "program");
    await fs.writeFile(file, block.replaceAll("https://example.com", caddy.url));
    const { stdout } = await promisify(execFile)(command, [...args, file], {
      cwd: caddy.dir,
      env: { ...process.env, PUBLISH_KEY: key, SSL_CERT_FILE: caddy.caFile, CURL_CA_BUNDLE: caddy.caFile },
    });
    return stdout.trim();
  }

  for (const [language, command, ...args] of [["python", "python3"], ["php", "php"], ["ruby", "ruby"]]) {
    test(language, async () => {
      const [program, ...more] = blocks(language);
      assert.deepEqual(more, []);
      assert.equal(await run(command, args, program), "1");
      assert.deepEqual(await client.next("news"), [{ title: "It works" }]);
    });
  }

  test("curl", async () => {
    const picture = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255]);
    await fs.writeFile(path.join(caddy.dir, "picture.png"), picture);
    const [news, file, list, end, ...more] = blocks("bash");
    assert.deepEqual(more, []);
    assert.equal(await run("bash", [], news), '{"receivers":1}');
    assert.deepEqual(await client.next("news"), [{ title: "It works" }]);
    assert.equal(await run("bash", [], file), '{"receivers":1}');
    assert.deepEqual(await client.next("picture"), [picture]);
    assert.deepEqual(JSON.parse(await run("bash", [], list)), { sockets: [{ id: client.id }], count: 1 });
    assert.equal(await run("bash", [], end), '{"disconnected":0}');
  });

  test("without the key nothing is told, and the log says so", async () => {
    await assert.rejects(run("bash", [], blocks("bash")[0].replace("$PUBLISH_KEY", "wrong")), /401/);
    await caddy.logged(/publishing refused/);
    assert.ok(!caddy.log().includes(key), "the key is in the log");
  });
});
