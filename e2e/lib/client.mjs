// The real socket.io-client with an inbox: every event is kept from the moment
// the socket exists, so that a test can ask for one that has already come.
//
//   const client = await connect(caddy, "websocket");
//   client.emit("stream:start", { streamId: "a" });
//   const [started] = await client.next("stream:started");
//
// connect(caddy, mode, options) resolves when the socket is connected and, for
// the mode "upgrade", the WebSocket has taken over. open(...) does not wait.
// options: namespace (default "/"), ca (to override), and any option of
// socket.io-client. A client is closed with client.close().

import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";

/** The three ways a client can reach the server. */
export const modes = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

/** How long anything a test waits for may take, in milliseconds. */
export const limit = 30_000;

export async function connect(caddy, mode, options = {}) {
  const client = open(caddy, mode, options);
  try {
    await client.connected();
  } catch (err) {
    client.close();
    throw err;
  }
  return client;
}

export function open(caddy, mode, { namespace = "/", ...options } = {}) {
  const socket = io(caddy.url + namespace, {
    ca: caddy.ca,
    transports: modes[mode],
    reconnection: false,
    forceNew: true,
    autoConnect: false,
    ...options,
  });
  const client = new Client(socket, mode);
  socket.connect();
  return client;
}

/** Resolves to the first argument of the emitter's next event of that name. */
export function happens(emitter, event) {
  return within(new Promise((resolve) => emitter.once(event, resolve)), `"${event}"`);
}

/** Passes a promise on, and rejects if it takes too long. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${limit} ms`)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a test body with clients of one server and closes them after it. */
export async function withClients(caddy, body) {
  const clients = [];
  const join = async (mode, options) => {
    const client = await connect(caddy, mode, options);
    clients.push(client);
    return client;
  };
  try {
    return await body(join);
  } catch (err) {
    // The server's own words are the first thing one needs after a failure.
    process.stderr.write(`--- Caddy's log, the last lines ---\n${tail(caddy.log(), 30)}\n---\n`);
    throw err;
  } finally {
    for (const client of clients) {
      client.close();
    }
  }
}

class Client {
  #waiting = [];

  constructor(socket, mode) {
    this.socket = socket;
    this.mode = mode;
    // Events not asked for yet, each as {event, args}.
    this.inbox = [];
    // Reasons of the disconnects so far.
    this.disconnects = [];
    socket.onAny((event, ...args) => this.#arrived({ event, args }));
    socket.on("disconnect", (reason) => {
      this.disconnects.push(reason);
      this.#arrived({ event: "(disconnect)", args: [reason] });
    });
    socket.on("connect", () => this.#arrived({ event: "(connect)", args: [] }));
    socket.on("connect_error", (err) => this.#arrived({ event: "(connect_error)", args: [err] }));
  }

  get id() {
    return this.socket.id;
  }

  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  /** Sends an event and resolves to the first argument of its ack. */
  ack(event, ...args) {
    return this.socket.timeout(limit).emitWithAck(event, ...args);
  }

  /** Sends an event and resolves to all arguments of its ack. */
  acks(event, ...args) {
    return new Promise((resolve, reject) => {
      this.socket.timeout(limit).emit(event, ...args, (err, ...reply) => {
        if (err) {
          reject(new Error(`no ack for "${event}" within ${limit} ms`));
        } else {
          resolve(reply);
        }
      });
    });
  }

  /**
   * Resolves to the arguments of the next event of that name, and takes it out
   * of the inbox. With a predicate (called with the arguments) it is the next
   * such event that fits.
   */
  next(event, fits = () => true) {
    const wanted = (entry) => entry.event === event && fits(...entry.args);
    return this.#wait(wanted, `no "${event}"`).then((entry) => entry.args);
  }

  /** The arguments of all events of that name in the inbox, oldest first. */
  seen(event) {
    return this.inbox.filter((entry) => entry.event === event).map((entry) => entry.args);
  }

  /** Resolves when the socket is connected on the transport its mode ends on. */
  async connected() {
    const outcome = ({ event }) => event === "(connect)" || event === "(connect_error)";
    const { event, args } = await this.#wait(outcome, `no connection by ${this.mode}`);
    if (event === "(connect_error)") {
      const [err] = args;
      const detail = err.description?.message ?? err.description ?? "";
      throw new Error(`cannot connect by ${this.mode}: ${err.message} ${detail}`, { cause: err });
    }
    if (this.mode === "upgrade") {
      await upgraded(this.socket.io.engine);
    }
  }

  close() {
    for (const { timer } of this.#waiting) {
      clearTimeout(timer);
    }
    this.#waiting = [];
    this.socket.disconnect();
  }

  #arrived(entry) {
    const at = this.#waiting.findIndex((waiter) => waiter.wanted(entry));
    if (at < 0) {
      this.inbox.push(entry);
      return;
    }
    const [waiter] = this.#waiting.splice(at, 1);
    clearTimeout(waiter.timer);
    waiter.resolve(entry);
  }

  #wait(wanted, complaint) {
    const at = this.inbox.findIndex(wanted);
    if (at >= 0) {
      return Promise.resolve(this.inbox.splice(at, 1)[0]);
    }
    return new Promise((resolve, reject) => {
      const waiter = { wanted, resolve };
      waiter.timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        const seen = this.inbox.map((entry) => entry.event).join(", ") || "nothing";
        reject(new Error(`${complaint} within ${limit} ms; in the inbox: ${seen}`));
      }, limit);
      this.#waiting.push(waiter);
    });
  }
}

function upgraded(engine) {
  if (engine.transport.name === "websocket") {
    return Promise.resolve();
  }
  const upgrade = new Promise((resolve, reject) => {
    engine.once("upgrade", resolve);
    engine.once("upgradeError", reject);
    engine.once("close", (reason) => reject(new Error(`closed while upgrading: ${reason}`)));
  });
  return within(upgrade, "the upgrade");
}

function tail(text, lines) {
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}

/** Waits until a condition holds, and returns what it has returned. */
export async function until(what, condition) {
  for (const end = Date.now() + limit; ;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await pause(10);
  }
}
