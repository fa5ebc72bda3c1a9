// Plain HTTPS requests to a server of startCaddy, certificates verified.

import assert from "node:assert/strict";
import https from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import { limit } from "./client.mjs";

/**
 * Sends one request on a connection of its own, from an address of this machine
 * that may be given; the path goes out as it is. Resolves to {status, headers,
 * text, json()}.
 */
export function request(caddy, path, { method = "GET", headers = {}, body, from } = {}) {
  return new Promise((resolve, reject) => {
    const options = {
      host: "localhost",
      port: caddy.httpsPort,
      path,
      method,
      headers,
      ca: caddy.ca,
      agent: false,
      timeout: limit,
      ...(from === undefined ? {} : { localAddress: from, family: 4 }),
    };
    const req = https.request(options, (res) => {
      const parts = [];
      res.on("data", (part) => parts.push(part));
      res.on("error", reject);
      res.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        resolve({
          status: res.statusCode,
          headers: res.headers,
          text,
          json: () => JSON.parse(text),
        });
      });
    });
    req.on("timeout", () => req.destroy(new Error(`no answer to ${method} ${path}`)));
    req.on("error", reject);
    req.end(body);
  });
}

/**
 * Opens a bare WebSocket. Resolves to {socket, first} with the first message
 * as text, or to {status} when the server answers without an upgrade.
 */
export function webSocket(caddy, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const url = caddy.url.replace("https:", "wss:") + path;
    const socket = new WebSocket(url, { ca: caddy.ca, headers, handshakeTimeout: limit });
    socket.once("message", (data) => resolve({ socket, first: data.toString("utf8") }));
    socket.once("error", reject);
    socket.once("close", (code) => reject(new Error(`closed with ${code} before a message`)));
    socket.once("unexpected-response", (req, res) => {
      res.resume();
      req.destroy();
      resolve({ status: res.statusCode });
    });
  });
}

/**
 * Waits until nobody is connected any more, as /health tells: clients that have
 * been closed are gone here before they are at the server.
 */
export async function nobodyLeft(caddy) {
  for (const deadline = Date.now() + limit; ; await pause(20)) {
    const { connections } = (await request(caddy, "/health")).json();
    if (connections === 0) {
      return;
    }
    assert.ok(Date.now() < deadline, `${connections} connections were left behind`);
  }
}
