import { createServer, type Server as HTTPServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import type { Network } from "./network.js";

type Reply = ((value: unknown) => void) | undefined;

/** Sent is something a client has sent, as it arrived. */
interface Sent {
  event: string;
  payload: any;
  clientId: string;
  /** When, in milliseconds since 1970. */
  at: number;
}

/**
 * Rule says what becomes of an event: undefined for what is right, a code to refuse it, "ignore" to never answer, "late" to
 * do it and never answer, and "after leave" to do a join, and answer it, once the client has asked to leave.
 */
type Rule = (sent: Sent) => string | undefined;

/** Seat is a client's place in a session, by the connection that it joined with. */
interface Seat {
  name: string;
  token: string;
  socket: Socket;
}

/** TestServer is a server of shared sessions, small enough to be plainly right, with ways to misbehave. */
export class TestServer {
  readonly #http: HTTPServer = createServer();
  readonly #io: Server;
  readonly #sessions = new Map<string, Map<string, Seat>>();
  readonly #history = new Map<string, unknown[]>();
  readonly #postponed: (() => void)[] = [];
  /** Everything that clients have sent. */
  readonly sent: Sent[] = [];
  /** How often a client has connected to the namespace. */
  connections = 0;
  /** What becomes of events. */
  rule: Rule = () => undefined;
  /** Whether it says who has sent a content or a chunk, as older servers do not. */
  clientIds = true;
  /** Whether a token is given and asked for. */
  tokens = false;
  /** How many contents a late joiner gets. */
  history = 0;
  /** How many clients a session may have. */
  maxClients = Infinity;
  /** Whether lost connections keep their seats, as they do until a server notices that they are lost. */
  ghosts = false;
  /** The code with which clients are not let into the namespace; undefined lets them in. */
  closed: ((auth: Record<string, unknown>) => string | undefined) | undefined;
  /** How often clients have tried to get into the namespace. */
  attempts = 0;

  /** It listens on the loopback interface, or serves a network that is made up. */
  constructor(network?: Network) {
    const options = { maxHttpBufferSize: 1e6, pingInterval: 25_000, pingTimeout: 20_000 };
    this.#io = network === undefined ? new Server(this.#http, options) : new Server(options);
    if (network !== undefined) this.#io.bind(network as never);
    this.#io.use((socket, next) => {
      this.attempts++;
      const code = this.closed?.(socket.handshake.auth);
      if (code === undefined) next();
      else next(Object.assign(new Error(`refused: ${code}`), { data: { code } }));
    });
    this.#io.on("connection", (socket) => {
      this.connections++;
      this.#serve(socket);
    });
  }

  async start(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(port, "127.0.0.1", resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    await this.#io.close();
  }

  /** members lists the names in a session. */
  members(sessionId: string): string[] {
    return [...(this.#sessions.get(sessionId)?.values() ?? [])].map(({ name }) => name);
  }

  /** cut ends the connection of a client as a lost network does, or of all. */
  cut(clientId?: string): void {
    for (const [id, socket] of this.#io.sockets.sockets) {
      if (clientId === undefined || clientId === id) socket.conn.close();
    }
  }

  /** dismiss ends a client's connection by the server's will; it says why if there is a code. */
  dismiss(clientId: string, code?: string): void {
    const socket = this.#io.sockets.sockets.get(clientId);
    if (code !== undefined) socket?.emit("error", { message: `ended: ${code}`, code });
    socket?.disconnect(true);
  }

  /** kick ends a client's connection by the server's will: with a packet that says so, or by closing the transport. */
  kick(clientId: string, close: boolean): void {
    const socket = this.#io.sockets.sockets.get(clientId);
    socket?.emit("error", { message: "kicked by the server", code: "kicked" });
    if (close) socket?.conn.close();
    else socket?.disconnect();
  }

  /** forget gives up the seats of a lost connection. */
  forget(clientId: string): void {
    for (const [sessionId, session] of this.#sessions) {
      if (session.delete(clientId)) this.#io.to(sessionId).emit("client-left", { sessionId, clientId });
    }
  }

  /** emit sends an event to a client. */
  emit(clientId: string, event: string, ...args: unknown[]): void {
    this.#io.to(clientId).emit(event, ...args);
  }

  /** events returns what clients have sent of one event. */
  events(event: string): any[] {
    return this.sent.filter((sent) => sent.event === event).map(({ payload }) => payload);
  }

  #serve(socket: Socket): void {
    for (const event of ["join", "leave", "content", "chunk"]) {
      socket.on(event, (payload: any, reply: Reply) => {
        const answer = this.#handle(socket, event, payload, reply);
        if (answer === undefined) return;
        reply?.(answer);
        if (event === "join") this.#replay(socket, payload.sessionId);
      });
    }
    socket.on("batch", (entries: any[], reply: Reply) => {
      this.sent.push({ event: "batch", payload: entries, clientId: socket.id, at: Date.now() });
      reply?.({ success: true, results: entries.map(({ event, data }) => this.#handle(socket, event, data)) });
    });
    socket.on("disconnect", () => {
      if (this.ghosts) return;
      for (const sessionId of [...this.#sessions.keys()]) this.#leave(socket, sessionId);
    });
  }

  #handle(socket: Socket, event: string, payload: any, reply?: Reply): object | undefined {
    const sent = { event, payload, clientId: socket.id, at: Date.now() };
    this.sent.push(sent);
    const code = this.rule(sent);
    if (code === "ignore") return undefined;
    if (code === "late" && event === "join") {
      this.#join(socket, payload);
      this.#replay(socket, payload.sessionId);
      return undefined;
    }
    if (code === "after leave" && event === "join") {
      this.#postponed.push(() => {
        if (!socket.connected) return;
        reply?.(this.#join(socket, payload));
        this.#replay(socket, payload.sessionId);
      });
      return undefined;
    }
    if (code !== undefined) return this.#refuse(socket, code);
    const { sessionId, token, volatile, ...rest } = payload;
    if (event === "join") return this.#join(socket, payload);
    if (event === "leave" && this.#postponed.length > 0) {
      queueMicrotask(() => this.#postponed.splice(0).forEach((join) => join()));
    }
    const [clientId, seat] = this.#seat(socket, sessionId);
    if (seat === undefined) return this.#refuse(socket, "not_in_session");
    if (event === "leave") {
      this.#leave(socket, sessionId);
      return { success: true };
    }
    if (this.tokens && token !== seat.token) return this.#refuse(socket, "invalid_token");
    const relayed = { sessionId, ...(this.clientIds ? { clientId } : {}), ...rest };
    socket.to(sessionId).emit(event, relayed);
    if (event === "content" && volatile !== true) {
      const kept = this.#history.get(sessionId) ?? [];
      this.#history.set(sessionId, this.history === 0 ? [] : [...kept, relayed].slice(-this.history));
    }
    return { success: true };
  }

  #refuse(socket: Socket, code: string): object {
    socket.emit("error", { message: `refused: ${code}`, code });
    return { success: false, error: `refused: ${code}`, code };
  }

  #join(socket: Socket, payload: { sessionId: string; clientName: string; token?: string }): object {
    const { sessionId, clientName, token } = payload;
    const session = this.#sessions.get(sessionId) ?? new Map<string, Seat>();
    this.#sessions.set(sessionId, session);
    const own =
      this.#seat(socket, sessionId)[1] ??
      (this.tokens ? [...session.values()].find((seat) => seat.token === token) : undefined);
    if (own === undefined && session.size >= this.maxClients) return this.#refuse(socket, "session_full");
    const seat = own ?? { name: clientName, token: Math.random().toString(36), socket };
    void socket.join(sessionId);
    if (own === undefined) {
      session.set(socket.id, seat);
      socket.to(sessionId).emit("client-joined", { sessionId, clientId: socket.id, clientName });
    } else if (own.socket !== socket) {
      const old = own.socket;
      own.socket = socket;
      void old.leave(sessionId);
      old.emit("error", { message: "refused: replaced", code: "replaced", sessionId });
      old.disconnect();
    }
    const clients = [...session].map(([id, { name, socket: at }]) => ({ id: at === socket ? socket.id : id, name }));
    return { success: true, clients, ...(this.tokens ? { token: seat.token } : {}) };
  }

  /** replay sends a client what was shared before it came, once it knows that it is in. */
  #replay(socket: Socket, sessionId: string): void {
    if (this.#seat(socket, sessionId)[1] === undefined) return;
    for (const content of this.#history.get(sessionId) ?? []) socket.emit("content", content);
  }

  /** seat returns a client's place, and the id by which the others know it. */
  #seat(socket: Socket, sessionId: string): [string, Seat] | [undefined, undefined] {
    const seats = [...(this.#sessions.get(sessionId) ?? [])];
    return seats.find(([, seat]) => seat.socket === socket) ?? [undefined, undefined];
  }

  #leave(socket: Socket, sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    const [clientId] = this.#seat(socket, sessionId);
    if (session === undefined || clientId === undefined) return;
    session.delete(clientId);
    void socket.leave(sessionId);
    socket.to(sessionId).emit("client-left", { sessionId, clientId });
    if (session.size === 0) this.#sessions.delete(sessionId);
  }
}
