import { createServer, type Server as HTTPServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";

type Reply = ((value: unknown) => void) | undefined;

/** Sent is something a client has sent, as it arrived. */
interface Sent {
  event: string;
  payload: any;
  clientId: string;
}

/** Rule says what becomes of an event: undefined for what is right, a code to refuse it, "ignore" to never answer. */
type Rule = (sent: Sent) => string | undefined;

/** TestServer is a server of shared sessions, small enough to be plainly right, with ways to misbehave. */
export class TestServer {
  readonly #http: HTTPServer = createServer();
  readonly #io: Server;
  readonly #sessions = new Map<string, Map<string, string>>();
  readonly #tokens = new Map<string, string>();
  readonly #history = new Map<string, unknown[]>();
  /** Everything that clients have sent. */
  readonly sent: Sent[] = [];
  /** How often a client has connected to the namespace. */
  connections = 0;
  /** What becomes of events. */
  rule: Rule = () => undefined;
  /** Whether a token is given and asked for. */
  tokens = false;
  /** How many contents a late joiner gets. */
  history = 0;

  constructor() {
    this.#io = new Server(this.#http, { maxHttpBufferSize: 1e6, pingInterval: 25_000, pingTimeout: 20_000 });
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
    return [...(this.#sessions.get(sessionId)?.values() ?? [])];
  }

  /** cut ends the connection of a client as a lost network does, or of all. */
  cut(clientId?: string): void {
    for (const [id, socket] of this.#io.sockets.sockets) {
      if (clientId === undefined || clientId === id) socket.conn.close();
    }
  }

  /** dismiss ends a client's connection by the server's will. */
  dismiss(clientId: string): void {
    this.#io.sockets.sockets.get(clientId)?.disconnect(true);
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
        const answer = this.#handle(socket, event, payload);
        if (answer !== undefined) reply?.(answer);
      });
    }
    socket.on("batch", (entries: any[], reply: Reply) => {
      this.sent.push({ event: "batch", payload: entries, clientId: socket.id });
      reply?.({ success: true, results: entries.map(({ event, data }) => this.#handle(socket, event, data)) });
    });
    socket.on("disconnect", () => {
      for (const sessionId of this.#sessions.keys()) this.#leave(socket, sessionId);
    });
  }

  #handle(socket: Socket, event: string, payload: any): object | undefined {
    const sent = { event, payload, clientId: socket.id };
    this.sent.push(sent);
    const code = this.rule(sent);
    if (code === "ignore") return undefined;
    if (code !== undefined) return this.#refuse(socket, code);
    const { sessionId, token, volatile, ...rest } = payload;
    if (event === "join") return this.#join(socket, payload);
    const session = this.#sessions.get(sessionId);
    if (!session?.has(socket.id)) return this.#refuse(socket, "not_in_session");
    if (event === "leave") {
      this.#leave(socket, sessionId);
      return { success: true };
    }
    if (this.tokens && token !== this.#tokens.get(socket.id)) return this.#refuse(socket, "invalid_token");
    socket.to(sessionId).emit(event, { sessionId, ...rest });
    if (event === "content" && volatile !== true) {
      const kept = this.#history.get(sessionId) ?? [];
      this.#history.set(sessionId, this.history === 0 ? [] : [...kept, { sessionId, ...rest }].slice(-this.history));
    }
    return { success: true };
  }

  #refuse(socket: Socket, code: string): object {
    socket.emit("error", { message: `refused: ${code}`, code });
    return { success: false, error: `refused: ${code}`, code };
  }

  #join(socket: Socket, { sessionId, clientName }: { sessionId: string; clientName: string }): object {
    const session = this.#sessions.get(sessionId) ?? new Map<string, string>();
    this.#sessions.set(sessionId, session);
    session.set(socket.id, clientName);
    for (const content of this.#history.get(sessionId) ?? []) socket.emit("content", content);
    void socket.join(sessionId);
    socket.to(sessionId).emit("client-joined", { sessionId, clientId: socket.id, clientName });
    const token = Math.random().toString(36);
    this.#tokens.set(socket.id, token);
    const clients = [...session].map(([id, name]) => ({ id, name }));
    return { success: true, clients, ...(this.tokens ? { token } : {}) };
  }

  #leave(socket: Socket, sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (!session?.delete(socket.id)) return;
    void socket.leave(sessionId);
    socket.to(sessionId).emit("client-left", { sessionId, clientId: socket.id });
    if (session.size === 0) this.#sessions.delete(sessionId);
  }
}
