// The metrics as a real Prometheus sees them, before and after reloads.

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { root, startCaddy } from "./lib/caddy.mjs";
import { withClients } from "./lib/client.mjs";
import { promtool, startPrometheus } from "./lib/prometheus.mjs";

const site = (generation) => `localhost {
	socketio_stream {
		hub first
		ping_interval 300ms
		max_connections ${1000 + generation}
		namespace / {
			events streaming {
				max_streams ${1000 + generation}
			}
			events sessions
		}
	}
	socketio_stream {
		hub second
		path /second/
		namespace / {
			events streaming
		}
		# Some series are there only where backends publish.
		publish /publish {
			key 4f1c0d9a7be24c3f8a6d5e2b1c0f9e8d
		}
		# Some series are there only for a namespace that asks a backend. Nobody connects to this one.
		namespace /asked {
			auth http http://127.0.0.1:9/
			events sessions
		}
	}
}`;

describe("the metrics", () => {
  let caddy;
  let prometheus;

  before(async () => {
    caddy = await startCaddy({ caddyfile: site(1) });
    prometheus = await startPrometheus([`localhost:${caddy.adminPort}`]);
  });

  after(async () => {
    await prometheus?.stop();
    await caddy?.stop();
  });

  test("go on through reloads", () =>
    withClients(caddy, async (join) => {
      const socket = await join("websocket");
      const others = [await join("polling"), await join("upgrade")];
      await join("websocket", { path: "/second/" });
      const say = async (text) => {
        socket.emit("message", text);
        for (const other of others) {
          assert.deepEqual(await other.next("message"), [text]);
        }
      };
      await socket.ack("stream:start", { streamId: "kept" });
      await say("before");

      const counts = async (said) => {
        await prometheus.until(`caddy_socketio_events_total{hub="first",direction="in"}`, 1 + said);
        const time = await prometheus.scraped();
        const expected = {
          'caddy_socketio_connections{hub="first",transport="websocket"}': 2,
          'caddy_socketio_connections{hub="first",transport="polling"}': 1,
          'caddy_socketio_connections{hub="second",transport="websocket"}': 1,
          'caddy_socketio_sockets{hub="first",namespace="/"}': 3,
          'caddy_socketio_handshakes_total{hub="first",transport="polling",protocol="4"}': 2,
          'caddy_socketio_upgrades_total{hub="first"}': 1,
          'caddy_socketio_streams{hub="first",namespace="/"}': 1,
          'caddy_socketio_streams_started_total{hub="first"}': 1,
          'sum(caddy_socketio_disconnects_total)': 0,
          'sum(caddy_socketio_refused_requests_total)': 0,
        };
        for (const [query, value] of Object.entries(expected)) {
          assert.equal(await prometheus.value(query, time), value, query);
        }
      };
      await counts(1);

      for (let generation = 2; generation < 4; generation++) {
        await caddy.reload(site(generation));
        await say(`in generation ${generation}`);
        await counts(generation);
      }
      // No counter has ever been seen to fall.
      for (const name of await prometheus.names()) {
        if (/^caddy_socketio_.*_(total|count|sum|bucket)$/.test(name)) {
          assert.deepEqual(await prometheus.query(`resets(${name}[5m]) > 0`), [], name);
        }
      }
      // One message to two clients, three times, and what each got by itself.
      await prometheus.until(`sum(caddy_socketio_deliveries_total{hub="first"}) >= bool 6`, 1);
      await prometheus.until(`caddy_socketio_heartbeat_latency_seconds_count{hub="first"} > bool 0`, 1);
    }));

  test("are what promtool wants them to be", async () => {
    const lines = (await caddy.metrics()).split("\n");
    // Caddy's own are not ours to judge.
    const ours = lines.filter((line) => /^(# (HELP|TYPE) )?caddy_socketio_/.test(line));
    assert.ok(ours.length > 100, `${ours.length} lines`);
    assert.deepEqual(await promtool(["check", "metrics"], `${ours.join("\n")}\n`), {
      code: 0,
      output: "",
    });
  });

  test("answer every query of the dashboard", () =>
    withClients(caddy, async (join) => {
      await join("websocket");
      const time = await prometheus.scraped();
      const file = path.join(root, "examples/grafana/dashboard.json");
      const { panels } = JSON.parse(await fs.readFile(file, "utf8"));
      const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
      assert.ok(queries.length > 20, `${queries.length} queries`);
      for (const query of queries) {
        const series = await prometheus.query(
          query
            .replaceAll("$hub", "first|second")
            .replaceAll("$__rate_interval", "5m")
            .replaceAll("$__range", "5m"),
          time,
        );
        // Neither hub is in a cluster, so there is nothing to tell of one.
        assert.equal(series.length > 0, !query.includes("_cluster_"), `${series.length} series come of ${query}`);
      }
    }));
});
