// `caddy socketio doctor` looks at real sites: good ones, and such as have a
// fault in the configuration of Caddy or of an nginx in front of it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { caddyBin, startCaddy } from "./lib/caddy.mjs";
import { nobodyLeft } from "./lib/http.mjs";
import { passWebSockets, startNginx } from "./lib/nginx.mjs";

const origin = "https://app.example.com";
const site = (addresses) => `${addresses} {
	socketio_stream {
		path /socket.io/ /streaming/socket.io/
		health /health
		cors {
			origins ${origin}
			credentials
		}
	}
	file_server
}`;

let caddy;

before(async () => {
  caddy = await startCaddy({ caddyfile: site("localhost") });
});

after(() => caddy?.stop());

// doctor runs the command and resolves to {code, text, error}.
function doctor(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(caddyBin, ["socketio", "doctor", ...args], {
      env: { ...process.env, HOME: caddy.dir, SSL_CERT_FILE: caddy.caFile, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    let error = "";
    child.stdout.setEncoding("utf8").on("data", (part) => (text += part));
    child.stderr.setEncoding("utf8").on("data", (part) => (error += part));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, text, error }));
  });
}

// examine runs the command with --json, trusting a server's authority, and
// resolves to {code, report, find(code)}.
async function examine(server, ...args) {
  const { code, text, error } = await doctor([...args, "--json"], { SSL_CERT_FILE: server.caFile });
  assert.equal(error, "");
  const report = JSON.parse(text);
  const find = (wanted) => {
    const found = report.findings.find((finding) => finding.code === wanted);
    assert.ok(found, `no finding ${wanted}:\n${text}`);
    return found;
  };
  return { code, report, find };
}

const lines = (finding) => (finding.mend ?? []).flatMap((mend) => mend.lines);
const withStatus = (report, ...statuses) =>
  report.findings.filter((finding) => statuses.includes(finding.status)).map((finding) => finding.code);

describe("Caddy alone", () => {
  test("all is well with a good site", async () => {
    const { code, report, find } = await examine(caddy, caddy.url, "--http-port", String(caddy.httpPort));
    assert.deepEqual(withStatus(report, "warning", "problem"), []);
    assert.equal(code, 0);
    assert.equal(report.healthy, true);
    for (const wanted of ["certificate-ok", "redirected", "http2", "clock-ok", "health-ok"]) find(wanted);
    for (const path of ["/socket.io/", "/streaming/socket.io/"]) {
      const codes = report.findings.filter((finding) => finding.path === path).map((finding) => finding.code);
      assert.deepEqual(codes, [
        "handshake-ok", "compression-ok", "sessions-found", "polling-ok", "body-ok", "websocket-ok", "upgrade-ok",
        "own-origin-allowed", "websocket-held", "poll-held",
      ]);
    }
    await nobodyLeft(caddy);
  });

  test("a person reads that in lines", async () => {
    const { code, text } = await doctor([caddy.url, "--origin", origin]);
    assert.equal(code, 0);
    assert.match(text, /^ok +handshake +Engine\.IO 4/m);
    assert.match(text, /^ok +upgrade /m);
    assert.match(text, /^ok +origin +Pages of https:\/\/app\.example\.com may connect, with cookies\.$/m);
    assert.match(text, /^All is well\./m);
    assert.doesNotMatch(text, /\x1b/);
    await nobodyLeft(caddy);
  });

  test("the wrong path, and where the right one is", async () => {
    const { code, find } = await examine(caddy, caddy.url, "--path", "/socketio/");
    const finding = find("handshake-not-found");
    assert.match(finding.summary, /There is a Socket\.IO server at \/socket\.io\/\./);
    assert.match(finding.seen, /^GET \/socketio\/\?EIO=4&transport=polling answered 404, Server: Caddy/);
    assert.ok(lines(finding).includes('io({ path: "/socket.io/" })'));
    assert.ok(lines(finding).includes("path /socketio/"));
    assert.equal(code, 1);
  });

  test("the wrong origin", async () => {
    const { code, report, find } = await examine(caddy, caddy.url, "--origin", "https://other.example.com", "--path", "/socket.io/");
    assert.deepEqual(withStatus(report, "warning", "problem"), ["origin-refused"]);
    assert.ok(lines(find("origin-refused")).includes("\torigins https://other.example.com"));
    assert.equal(code, 1);
    await nobodyLeft(caddy);
  });

  test("a certificate that is not trusted ends the visit", async () => {
    const { code, text } = await doctor([caddy.url], { SSL_CERT_FILE: "/dev/null", SSL_CERT_DIR: caddy.dir });
    assert.equal(code, 1);
    assert.match(text, /\[certificate-local-authority\]/);
    assert.match(text, /^ +caddy trust$/m);
    assert.doesNotMatch(text, /handshake/);
  });

  test("a site that has no certificate for the name", async () => {
    const { code, find } = await examine(caddy, caddy.url.replace("localhost", "127.0.0.1"));
    find("tls-no-certificate");
    assert.equal(code, 1);
  });

  test("what cannot be looked at ends with status 2", async () => {
    for (const args of [[], ["nonsense"], ["ftp://localhost"], [caddy.url, "--auth", "x"], [caddy.url, "--unknown"]]) {
      const { code, text, error } = await doctor(args);
      assert.equal(code, 2, error);
      assert.equal(text, "");
      assert.match(error, /^Error: /);
    }
  });
});

describe("behind nginx", () => {
  const plain = site("localhost, http://localhost");
  let server;

  before(async () => {
    server = await startCaddy({ caddyfile: plain });
  });

  after(() => server?.stop());

  async function behind(servers, location, args, host = undefined) {
    const nginx = await startNginx(servers, { location, host });
    try {
      return await examine(server, nginx.url, "--path", "/socket.io/", ...args);
    } finally {
      await nginx.stop();
    }
  }

  test("all is well with one that passes everything on", async () => {
    const { code, report } = await behind(server, passWebSockets, ["--origin", origin]);
    assert.deepEqual(withStatus(report, "warning", "problem"), []);
    assert.equal(code, 0);
    await nobodyLeft(server);
  });

  test("without the upgrade headers", async () => {
    const { code, report, find } = await behind(server, "", []);
    assert.deepEqual(withStatus(report, "warning", "problem"), ["websocket-headers-stripped"]);
    const finding = find("websocket-headers-stripped");
    assert.match(finding.seen, /answered 400, Server: nginx/);
    assert.deepEqual(lines(finding), passWebSockets.trim().split("\n"));
    assert.equal(code, 1);
    await nobodyLeft(server);
  });

  test("with a read timeout of 3 s", async () => {
    const { code, report, find } = await behind(server, `${passWebSockets}proxy_read_timeout 3s;`, ["--wait", "10s"]);
    assert.deepEqual(withStatus(report, "warning", "problem"), ["websocket-idle-cut", "poll-idle-cut"]);
    assert.match(find("poll-idle-cut").seen, /answered 504, Server: nginx/);
    for (const cut of ["websocket-idle-cut", "poll-idle-cut"]) {
      assert.ok(lines(find(cut)).includes("proxy_read_timeout 44s;"));
    }
    assert.equal(code, 1);
    await nobodyLeft(server);
  });

  test("with a limit on bodies", async () => {
    const { report, find } = await behind(server, `${passWebSockets}client_max_body_size 100k;`, []);
    assert.deepEqual(withStatus(report, "warning", "problem"), ["body-limit"]);
    assert.deepEqual(lines(find("body-limit")), ["client_max_body_size 1m;"]);
    await nobodyLeft(server);
  });

  test("without the Host of the page", async () => {
    const { report, find } = await behind(server, passWebSockets, [], "localhost:1");
    assert.deepEqual(withStatus(report, "warning", "problem"), ["own-origin-refused"]);
    assert.ok(lines(find("own-origin-refused")).includes("proxy_set_header Host $http_host;"));
    await nobodyLeft(server);
  });

  test("in front of two servers in turns", async () => {
    const other = await startCaddy({ caddyfile: plain });
    try {
      const { code, report, find } = await behind([server, other], passWebSockets, []);
      assert.ok(withStatus(report, "problem").includes("sessions-not-sticky"), JSON.stringify(report, null, 1));
      assert.ok(lines(find("sessions-not-sticky")).includes("ip_hash;"));
      assert.equal(code, 1);
      await nobodyLeft(server);
      await nobodyLeft(other);
    } finally {
      await other.stop();
    }
  });
});
