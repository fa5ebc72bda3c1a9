// The listener wrapper: requests by connections that are kept open, while the
// configuration changes. None of them is lost, and each is answered once.

import assert from "node:assert/strict";
import https from "node:https";
import { after, before, describe, test } from "node:test";
import { startCaddy } from "./lib/caddy.mjs";
import { withClients } from "./lib/client.mjs";

const generations = 12;
const senders = 12;

const global = `servers {
	listener_wrappers {
		socketio_stream
	}
}`;

const site = (generation) => `localhost {
	header X-Generation ${generation}
	socketio_stream {
		health /health
	}
	handle /echo {
		respond "{http.request.method} {http.request.header.X-Number}"
	}
}`;

describe("with the listener wrapper, a reload", () => {
  let caddy;

  before(async () => {
    caddy = await startCaddy({ caddyfile: site(1), global });
  });

  after(() => caddy?.stop());

  test("costs no request of connections that are kept open", async () => {
    let reloading = true;
    const seen = new Set();
    const traffic = Array.from({ length: senders }, async (_, i) => {
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
      try {
        let sent = 0;
        for (; reloading; sent++) {
          const number = `${i}.${sent}`;
          const { generation, text } = await post(caddy, agent, number);
          assert.equal(text, `POST ${number}`);
          seen.add(generation);
        }
        return sent;
      } finally {
        reloading = false;
        agent.destroy();
      }
    });
    const reloads = (async () => {
      try {
        for (let generation = 2; reloading && generation <= generations; generation++) {
          await caddy.reload(site(generation), global);
        }
      } finally {
        reloading = false;
      }
    })();
    const [sent] = await Promise.all([Promise.all(traffic), reloads]);
    assert.ok(sent.every((n) => n > 0), `each has sent something: ${sent}`);
    assert.ok(seen.size > 2, `several configurations have answered: ${[...seen]}`);
  });

  test("leaves clients on all transports connected", () =>
    withClients(caddy, async (join) => {
      const clients = await Promise.all(["polling", "upgrade", "websocket"].map((mode) => join(mode)));
      const ids = clients.map((client) => client.id);
      for (let generation = 1; generation <= 3; generation++) {
        await caddy.reload(site(generation), global);
        for (const sender of clients) {
          sender.emit("message", generation);
          const others = clients.filter((client) => client !== sender);
          for (const args of await Promise.all(others.map((client) => client.next("message")))) {
            assert.deepEqual(args, [generation]);
          }
        }
      }
      assert.deepEqual(clients.map((client) => client.id), ids);
      assert.deepEqual(clients.flatMap((client) => client.disconnects), []);
    }));
});

// post sends a request by the agent's connection. The system resets a new
// connection that is made at the very moment at which the old server's socket
// is closed; nobody has seen its request then, and it is made anew.
function post(caddy, agent, number) {
  return new Promise((resolve, reject) => {
    const body = "x".repeat(Math.floor(Math.random() * 20_000));
    const request = https.request(
      { agent, host: "localhost", port: caddy.httpsPort, ca: caddy.ca, method: "POST", path: "/echo", headers: { "X-Number": number }, timeout: 15_000 },
      (response) => {
        let text = "";
        response.on("data", (part) => (text += part));
        response.on("error", reject);
        response.on("end", () => resolve({ generation: response.headers["x-generation"], text }));
      },
    );
    let secured = false;
    request.on("socket", (socket) => {
      secured = request.reusedSocket;
      if (!secured) {
        socket.once("secureConnect", () => (secured = true));
      }
    });
    request.on("timeout", () => request.destroy(new Error(`no answer to ${number}`)));
    request.on("error", (error) => {
      if (secured) {
        reject(new Error(`request ${number} was lost`, { cause: error }));
      } else {
        resolve(post(caddy, agent, number));
      }
    });
    request.end(body);
  });
}
