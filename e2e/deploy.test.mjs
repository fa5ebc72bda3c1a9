// What deploy/, the Dockerfile and compose.yaml hold, as far as a machine without Docker and Kubernetes can try it: they
// are read, what they run is run, and what depends on each other is compared.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import YAML from "yaml";
import { caddyBin, root } from "./lib/caddy.mjs";

const run = promisify(execFile);
const read = (file) => fs.readFile(path.join(root, file), "utf8");

/** A duration of Caddy, systemd or Compose, in seconds. */
function seconds(text) {
  const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? assert.fail(`no duration: ${text}`);
  return Number(number) * { ms: 0.001, s: 1, m: 60, h: 3600 }[unit];
}

/** The value of an option in a Caddyfile, or its default. */
const option = (caddyfile, name, fallback) => new RegExp(`^\\s*${name}\\s+(\\S+)`, "m").exec(caddyfile)?.[1] ?? fallback;

describe("deploy", () => {
  let dir;

  before(async () => {
    dir = await fs.mkdtemp(path.join(os.tmpdir(), "socketio-stream-deploy-"));
  });

  after(() => fs.rm(dir, { recursive: true, force: true }));

  /** Has Caddy provision a Caddyfile, as it does at a start. */
  async function validate(text, env = {}) {
    const file = path.join(dir, "Caddyfile");
    await fs.writeFile(file, text);
    await run(caddyBin, ["validate", "--config", file, "--adapter", "caddyfile"], {
      cwd: root,
      env: { ...process.env, HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir, ...env },
    });
  }

  test("the image has what it copies, an ordinary user, and asks a path that answers", async () => {
    const text = await read("Dockerfile");
    for (const [, from, sources] of text.matchAll(/^COPY (--from=\S+ )?(.+) \S+$/gm)) {
      for (const source of sources.split(" ")) {
        if (from === undefined) assert.ok(existsSync(path.join(root, source)), `there is no ${source}`);
      }
    }
    const minor = /^go 1\.(\d+)/m.exec(await read("go.mod"))[1];
    assert.match(text, new RegExp(`FROM golang:1\\.${minor}-`));
    assert.match(text, /^USER 65532:65532$/m);
    const [, health] = /HEALTH=https:\/\/localhost(\S+)/.exec(text);
    assert.ok(option(await read("Caddyfile.example"), "health") === health);
    const ignored = (await read(".dockerignore")).split("\n");
    for (const folder of [".git", "**/node_modules", "**/build"]) assert.ok(ignored.includes(folder));
  });

  test("compose starts the example, with nothing to write to but its volumes", async () => {
    const compose = YAML.parse(await read("compose.yaml"));
    const { caddy } = compose.services;
    assert.equal(caddy.read_only, true);
    assert.deepEqual(caddy.cap_drop, ["ALL"]);
    assert.deepEqual(Object.keys(compose.services).filter((name) => !compose.services[name].profiles), ["caddy"]);
    const named = Object.keys(compose.volumes);
    for (const { volumes = [] } of Object.values(compose.services)) {
      for (const [source] of volumes.map((volume) => volume.split(":"))) {
        assert.ok(source.startsWith("./") ? existsSync(path.join(root, source)) : named.includes(source), `there is no ${source}`);
      }
    }
    const example = await read("Caddyfile.example");
    assert.ok(seconds(caddy.stop_grace_period) > seconds(option(example, "drain", "5s")) + 1);
    const [wrapper] = caddy.volumes.filter((volume) => volume.includes("deploy/compose/Caddyfile"));
    assert.equal(caddy.command[2], wrapper.split(":")[1]);
    await validate((await read("deploy/compose/Caddyfile")).replace("/etc/caddy/Caddyfile", path.join(root, "Caddyfile.example")));
    const scrape = YAML.parse(await read("deploy/compose/prometheus.yml"));
    const port = scrape.scrape_configs[0].static_configs[0].targets[0].split(":")[1];
    assert.match(await read("deploy/compose/Caddyfile"), new RegExp(`^:${port} \\{\n\tmetrics$`, "m"));
    for (const file of ["datasources/prometheus.yml", "dashboards/caddy-socketio.yml"]) {
      assert.equal(YAML.parse(await read(`deploy/compose/grafana/provisioning/${file}`)).apiVersion, 1);
    }
  });

  test("the pods leave their service before their clients leave them", async () => {
    const documents = YAML.parseAllDocuments(await read("deploy/kubernetes/caddy-socketio.yaml")).map((one) => {
      assert.deepEqual(one.errors, []);
      return one.toJS();
    });
    const [config, deployment, service] = documents;
    assert.deepEqual(documents.map(({ kind }) => kind), ["ConfigMap", "Deployment", "Service", "PodDisruptionBudget"]);
    const { Caddyfile } = config.data;
    await validate(Caddyfile, { REDIS_PASSWORD: "secret" });
    const { spec } = deployment.spec.template;
    const [caddy] = spec.containers;
    const [delay, drain, grace] = ["shutdown_delay", "drain", "grace_period"].map((name) => seconds(option(Caddyfile, name)));
    const preStop = Number(caddy.lifecycle.preStop.exec.command[1]);
    assert.ok(grace >= drain + 1, "grace_period bounds drain");
    assert.ok(spec.terminationGracePeriodSeconds > preStop + delay + grace, "the pod is killed before it has ended");
    const { periodSeconds, failureThreshold, httpGet } = caddy.readinessProbe;
    assert.ok(preStop + delay > 2 * periodSeconds * failureThreshold, "clients would come to a pod that goes");
    assert.equal(option(Caddyfile, "health"), httpGet.path);
    assert.equal(caddy.securityContext.readOnlyRootFilesystem, true);
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.deepEqual(service.spec.selector, deployment.spec.template.metadata.labels);
    for (const { name } of caddy.volumeMounts) assert.ok(spec.volumes.some((volume) => volume.name === name));
    assert.deepEqual(caddy.env.map(({ valueFrom }) => valueFrom.secretKeyRef.name), ["caddy-socketio"]);
  });

  test("systemd takes the unit, which gives drain its time and prints no environment", async () => {
    const unit = await read("deploy/systemd/caddy.service");
    const file = path.join(dir, "caddy.service");
    await fs.writeFile(file, unit.replaceAll("/usr/bin/caddy", caddyBin));
    const { stderr } = await run("systemd-analyze", ["verify", file]);
    assert.equal(stderr.split("\n").filter((line) => line.includes("caddy.service")).join("\n"), "");
    assert.ok(!/--environ/.test(unit));
    assert.ok(seconds(/^TimeoutStopSec=(.+)$/m.exec(unit)[1]) > 6);
  });

  test("the Debian package unpacks to a Caddy that takes its Caddyfile", async () => {
    const { stdout } = await run(path.join(root, "deploy/deb/build.sh"), ["--packed"], { cwd: root });
    const [, file] = /Packed (\S+)/.exec(stdout);
    const target = path.join(dir, "root");
    await run("dpkg-deb", ["-x", path.join(root, file), target]);
    const { stdout: modules } = await run(path.join(target, "usr/bin/caddy"), ["list-modules"]);
    assert.match(modules, /^http\.handlers\.socketio_stream$/m);
    await validate(await fs.readFile(path.join(target, "etc/caddy/Caddyfile"), "utf8"));
    const { stdout: fields } = await run("dpkg-deb", ["-f", path.join(root, file)]);
    assert.match(fields, /^Conflicts: caddy$/m);
    for (const script of ["postinst", "prerm"]) await run("sh", ["-n", path.join(root, "deploy/deb", script)]);
  });

  test("the alerts fire when something is wrong, and only then", async () => {
    const { stdout } = await run("promtool", ["test", "rules", path.join(root, "deploy/prometheus/alerts_test.yml")]);
    assert.match(stdout, /SUCCESS/);
    const { stdout: names } = await run("grep", ["-oh", "caddy_socketio_[a-z_]*", path.join(root, "deploy/prometheus/alerts.yml")]);
    const manual = await read("docs/metrics.md");
    for (const name of new Set(names.trim().split("\n"))) {
      assert.ok(manual.includes(`\`${name.replace("caddy_socketio_", "")}\``), `there is no metric ${name}`);
    }
  });
});
