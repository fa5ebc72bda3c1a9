// Behind a real nginx on the same machine, over IPv4, IPv6 and a Unix socket,
// with and without trusted_proxies, nobody is let off the limits, nor may read
// the status, whatever the client writes into X-Forwarded-For. Who comes
// directly is.

import assert from "node:assert/strict";
import path from "node:path";
import { describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { nobodyLeft, request } from "./lib/http.mjs";
import { startNginx } from "./lib/nginx.mjs";

const socket = (dir) => path.join(dir, "s");
// The address that the client comes to nginx from.
const client = "127.0.0.2";
const trusted = "trusted_proxies static 127.0.0.1 ::1\ntrusted_proxies_unix";
const settings = {
  "no trusted_proxies": "",
  trusted_proxies: trusted,
  trusted_proxies_strict: `${trusted}\ntrusted_proxies_strict`,
};
// Where nginx asks Caddy, and the address that is known where it is not trusted.
const upstreams = {
  IPv4: [({ httpPort }) => `127.0.0.1:${httpPort}`, "127.0.0.1"],
  IPv6: [({ httpPort }) => `[::1]:${httpPort}`, "::1"],
  "a Unix socket": [({ dir }) => `unix:${socket(dir)}`, "@"],
};
// What the client says of itself.
const words = [undefined, "127.0.0.1", "::1", "10.1.2.3, 127.0.0.1", "203.0.113.9", "garbage"];

const site = ({ dir }) => `(service) {
	socketio_stream {
		hub service
		health /health
		status /status
		limits {
			connections_per_ip 2
		}
	}
}

localhost {
	import service
}

http://localhost {
	bind 127.0.0.1 ::1
	import service
}

http://localhost:1 {
	bind unix/${socket(dir)}
	import service
}
`;

// handshakes connects four clients, disconnects them again, and resolves to how
// many were let in.
async function handshakes(server, options) {
  const target = "/socket.io/?EIO=4&transport=polling";
  const answers = [];
  for (let i = 0; i < 4; i++) {
    answers.push(await request(server, target, options));
  }
  const letIn = answers.filter(({ status }) => status === 200);
  assert.ok(answers.every(({ status }) => status === 200 || status === 429));
  for (const { text } of letIn) {
    const { sid } = JSON.parse(text.slice(1));
    await request(server, `${target}&sid=${sid}`, { ...options, method: "POST", body: "1" });
  }
  return letIn.length;
}

for (const [by, [upstream, peer]] of Object.entries(upstreams)) {
  describe(`behind nginx by ${by}`, () => {
    for (const [name, servers] of Object.entries(settings)) {
      test(name, async () => {
        const caddy = await startCaddy({ caddyfile: site, global: servers && `servers {\n${servers}\n}` });
        let nginx;
        try {
          nginx = await startNginx(caddy, {
            upstream: upstream(caddy),
            location: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
          });
          const front = { httpsPort: nginx.port, ca: caddy.ca };
          for (const word of words) {
            const headers = word === undefined ? {} : { "X-Forwarded-For": word };
            const options = { headers, from: client };
            assert.equal(await handshakes(front, options), 2, `a client that says ${word}`);
            await nobodyLeft(caddy);
            const { status, text } = await request(front, "/status", options);
            assert.equal(status, 403, `a client that says ${word}`);
            assert.match(text, /^The status is not for this client: its address is [^.]+\.( The log says what to do\.)?\n$/);
          }
          // Each of them had this address.
          const known = servers === "" ? peer : client;
          const told = new RegExp(`"reason":"connections_per_ip".*"client_ip":"${known}"`);
          await caddy.logged(told);
          for (const line of caddy.log().split("\n").filter((text) => text.includes('"connections_per_ip"'))) {
            assert.match(line, /more requests refused/.test(line) ? /"count"/ : told);
          }
          // Who comes directly from this machine is let off as ever.
          assert.equal(await handshakes(caddy, {}), 4);
          assert.equal((await request(caddy, "/status")).status, 200);
        } finally {
          await nginx?.stop();
          await caddy.stop();
        }
      });
    }
  });
}
