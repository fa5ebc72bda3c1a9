// A browser window with tabs, of which one is in front and the others are in the background, as a person has it.
// Playwright keeps every page it opens in front, so these tabs are driven through the browser's own protocol.
//
//   const browser = await startBrowser(executable);
//   const tab = await browser.open("https://localhost:23456/");
//   await tab.until("document.title");                  the first value that is true, within a deadline
//   await browser.stop();

import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import WebSocket from "ws";
import { mediaArgs } from "./chromium.mjs";

const DEADLINE = 120_000;

/** Starts a browser that accepts any certificate; see the head of this file. */
export async function startBrowser(executable) {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), "socketio-stream-browser-"));
  const child = spawn(executable, [
    "--headless=new",
    "--remote-debugging-port=0",
    `--user-data-dir=${dir}`,
    "--ignore-certificate-errors",
    ...mediaArgs,
    "about:blank",
  ], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", resolve);
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const stop = async () => {
    child.kill();
    await exited;
    process.off("exit", kill);
    await fs.rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  try {
    const protocol = await connect(await address(child, exited));
    return { stop, open: (url) => openTab(protocol, url) };
  } catch (error) {
    await stop();
    throw error;
  }
}

// address waits for the line in which the browser tells where it listens.
async function address(child, exited) {
  let output = "";
  const told = new Promise((resolve) => {
    child.stderr.setEncoding("utf8").on("data", (text) => {
      output += text;
      const match = /DevTools listening on (ws:\S+)/.exec(output);
      if (match) resolve(match[1]);
    });
  });
  const url = await Promise.race([told, exited.then(() => undefined)]);
  if (url === undefined) throw new Error(`the browser ended at once\n${output}`);
  return url;
}

async function connect(url) {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const waiting = new Map();
  let last = 0;
  socket.on("message", (text) => {
    const { id, result, error } = JSON.parse(text);
    const answer = waiting.get(id);
    waiting.delete(id);
    if (error) answer?.reject(new Error(error.message));
    else answer?.resolve(result);
  });
  return (method, params, sessionId) =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
}

async function openTab(protocol, url) {
  const { targetId } = await protocol("Target.createTarget", { url });
  const { sessionId } = await protocol("Target.attachToTarget", { targetId, flatten: true });
  const evaluate = async (expression) => {
    const asked = { expression, returnByValue: true };
    const { result, exceptionDetails } = await protocol("Runtime.evaluate", asked, sessionId);
    // A page that is still loading has not everything that is asked for.
    return exceptionDetails ? undefined : result.value;
  };
  return {
    evaluate,
    async until(expression) {
      const deadline = Date.now() + DEADLINE;
      while (Date.now() < deadline) {
        const value = await evaluate(expression);
        if (value) return value;
        await pause(50);
      }
      throw new Error(`never true: ${expression}`);
    },
  };
}
