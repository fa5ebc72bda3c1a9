import { EventEmitter } from "node:events";
import { NodeWebSocket } from "socket.io-client";

/** NOTICED is how long a server takes to notice that a connection was lost without a word, in milliseconds. */
export const NOTICED = 45_000;

type Message = string | Uint8Array;

/**
 * Network is made up: between real clients and a real server it carries what they say to each other, as WebSockets would,
 * in the time of a Clock. It takes its time, keeps the order, and loses connections when it is told to.
 *
 * To the server it is an engine: it emits "connection" with the server's end of each.
 */
export class Network extends EventEmitter {
  readonly #lines = new Set<Line>();
  #count = 0;
  /** Whether nobody gets through. */
  down = false;

  /** latency says how long the next message takes, in milliseconds. */
  constructor(readonly latency: () => number) {
    super();
  }

  /** transport makes what socket.io-client needs to connect, in the name of somebody. */
  transport(name: string) {
    const connect = () => this.#connect(name);
    return class extends NodeWebSocket {
      override createSocket() {
        return connect();
      }
      override doWrite(_: unknown, data: Message) {
        (this as unknown as { ws: ClientEnd }).ws.send(data);
      }
    };
  }

  /** open returns the connections that somebody has, as far as they know. */
  open(name: string): Line[] {
    return [...this.#lines].filter((line) => line.name === name && line.client.there);
  }

  /** lose ends a connection, if there is one: for both ends, or silently, so that the server notices later. */
  lose(name: string, silently: boolean): void {
    for (const line of this.open(name)) line.lose(silently);
  }

  /** close is called by the server at its end. */
  close(): void {
    for (const line of [...this.#lines]) line.lose(false);
  }

  #connect(name: string): ClientEnd {
    for (const line of this.#lines) if (!line.client.there) this.#lines.delete(line);
    const line = new Line(name, this.latency);
    this.#lines.add(line);
    setTimeout(() => {
      if (!line.client.there) return;
      if (this.down) {
        line.lose(false);
        return;
      }
      const server = line.accept(`line ${++this.#count}`);
      const handshake = { sid: server.id, upgrades: [], pingInterval: 1e9, pingTimeout: 1e9, maxPayload: 1e9 };
      this.emit("connection", server);
      line.toClient(() => line.client.onopen?.());
      line.toClient(() => line.client.onmessage?.({ data: `0${JSON.stringify(handshake)}` }));
    }, this.latency());
    return line.client;
  }
}

/** Line is one connection. */
class Line {
  readonly client: ClientEnd = new ClientEnd(this);
  #server: ServerEnd | undefined;
  #arrivals = { client: 0, server: 0 };
  #lost = false;

  constructor(
    readonly name: string,
    readonly latency: () => number,
  ) {}

  accept(id: string): ServerEnd {
    return (this.#server = new ServerEnd(id, this));
  }

  toClient(deliver: () => void): void {
    this.#carry("client", () => this.client.there && deliver());
  }

  toServer(deliver: (server: ServerEnd) => void): void {
    this.#carry("server", () => this.#server?.readyState === "open" && deliver(this.#server));
  }

  lose(silently: boolean): void {
    if (this.#lost) return;
    this.#lost = true;
    const server = this.#server;
    if (silently) setTimeout(() => server?.end("ping timeout"), NOTICED);
    else server?.end("transport close");
    this.client.end();
  }

  #carry(to: "client" | "server", deliver: () => void): void {
    if (this.#lost) return;
    // What is sent later does not arrive sooner.
    this.#arrivals[to] = Math.max(this.#arrivals[to], Date.now() + this.latency());
    setTimeout(() => {
      if (!this.#lost) deliver();
    }, this.#arrivals[to] - Date.now());
  }
}

/** ClientEnd is what a client takes for a WebSocket. */
class ClientEnd {
  there = true;
  binaryType = "";
  onopen: (() => void) | undefined;
  onclose: ((event: object) => void) | undefined;
  onmessage: ((event: { data: unknown }) => void) | undefined;
  onerror: ((event: object) => void) | undefined;

  constructor(readonly line: Line) {}

  send(data: Message): void {
    if (!this.there) return;
    const copy = typeof data === "string" ? data : Buffer.from(data);
    this.line.toServer((server) => server.receive(copy));
  }

  /** close is called by the client. */
  close(): void {
    if (!this.there) return;
    this.there = false;
    this.line.toServer((server) => server.end("transport close"));
  }

  /** end is called when the connection is gone. */
  end(): void {
    if (!this.there) return;
    this.there = false;
    this.onclose?.({});
  }
}

/** ServerEnd is what a server takes for a connection of Engine.IO. */
class ServerEnd extends EventEmitter {
  readonly request = { headers: {}, connection: {}, _query: {} };
  readonly protocol = 4;
  readonly transport = { name: "websocket", writable: true };
  readonly remoteAddress = "192.0.2.1";
  readyState = "open";

  constructor(
    readonly id: string,
    readonly line: Line,
  ) {
    super();
  }

  receive(data: Message): void {
    if (typeof data !== "string") this.emit("data", data);
    else if (data.startsWith("4")) this.emit("data", data.slice(1));
    else if (data.startsWith("1")) this.end("transport close");
  }

  write(data: Message): void {
    const copy = typeof data === "string" ? `4${data}` : Buffer.from(data);
    this.line.toClient(() => this.line.client.onmessage?.({ data: copy }));
  }

  /** close is called by the server; what it has written before still arrives. */
  close(): void {
    if (this.readyState !== "open") return;
    this.line.toClient(() => this.line.client.end());
    this.end("forced close");
  }

  end(reason: string): void {
    if (this.readyState !== "open") return;
    this.readyState = "closed";
    this.emit("close", reason);
  }
}
