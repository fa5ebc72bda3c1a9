// A TCP proxy in front of a server, whose line can go dead as that of a phone
// does: the client sees its connections end, and the server hears nothing.
//
//   const proxy = await startSilentProxy(caddy.httpsPort);
//   proxy.url      "https://localhost:23456"
//   proxy.cut()    ends the clients' sides of all connections there are, and
//                  keeps the server's sides open, without a word; nobody gets
//                  through any more
//   proxy.stop()

import { once } from "node:events";
import net from "node:net";

export async function startSilentProxy(port) {
  const lines = new Set();
  let down = false;
  const server = net.createServer((client) => {
    if (down) {
      client.destroy();
      return;
    }
    const upstream = net.connect(port, "127.0.0.1");
    const line = { client, upstream, dead: false };
    lines.add(line);
    client.on("data", (data) => line.dead || upstream.write(data));
    upstream.on("data", (data) => line.dead || client.write(data));
    client.on("error", () => {}).on("close", () => line.dead || upstream.destroy());
    upstream.on("error", () => {}).on("close", () => {
      client.destroy();
      lines.delete(line);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `https://localhost:${server.address().port}`,
    cut() {
      down = true;
      for (const line of lines) {
        line.dead = true;
        line.client.destroy();
      }
    },
    stop() {
      for (const { client, upstream } of lines) {
        client.destroy();
        upstream.destroy();
      }
      server.close();
    },
  };
}
