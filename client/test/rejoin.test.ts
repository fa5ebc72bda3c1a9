import { afterEach, describe, expect, it, vi } from "vitest";
import { ConnectionError, generateKey, SessionError, SocketService } from "../src/index.js";
import { Pauses } from "../src/waiting.js";
import { Clock } from "./clock.js";
import { DEADLINE, next, noise, until, useBench } from "./helpers.js";
import { Network } from "./network.js";
import { TestServer } from "./server.js";

const SESSION = "s";
const text = { contentType: "text" };

describe("a client whose connection was lost", () => {
  const bench = useBench();

  /** heard collects what a service hears of others. */
  function heard(service: SocketService): string[] {
    const events: string[] = [];
    service.on("client-joined", ({ clientName }) => events.push(`joined ${clientName}`));
    service.on("client-left", ({ clientId }) => events.push(`left ${clientId}`));
    service.on("content", ({ data }) => events.push(`content ${String(data)}`));
    return events;
  }

  it("takes its place again before the server has noticed, and nobody hears of it", async () => {
    Object.assign(bench.server, { tokens: true, ghosts: true, maxClients: 2 });
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada");
    await bob.joinSession(SESSION, "Bob");
    const first = ada.id;
    const events = heard(bob);
    const rejoined = next(ada, "session-rejoined");
    bench.server.cut(ada.id);
    await next(ada, "disconnect");
    const shared = await ada.shareContent(SESSION, text, "back");
    expect((await rejoined).clients).toEqual([
      { id: ada.id, name: "Ada" },
      { id: bob.id, name: "Bob" },
    ]);
    expect(ada.id).not.toBe(first);
    // The others know it by the id it had.
    expect(shared.senderId).toBe(first);
    await until(() => events.includes("content back"), "Bob hears of it");
    expect(events).toEqual(["content back"]);
    expect(bob.clients(SESSION)).toEqual([
      { id: first, name: "Ada" },
      { id: bob.id, name: "Bob" },
    ]);
  });

  it("gets the files that were sent meanwhile", async () => {
    Object.assign(bench.server, { tokens: true, ghosts: true });
    const key = generateKey();
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { key });
    await bob.joinSession(SESSION, "Bob", { key });
    const known = bob.id;
    // Bob is not back before the file has been sent.
    let busy = true;
    bench.server.rule = ({ event }) => (event === "join" && busy ? "throttled" : undefined);
    bench.server.cut(bob.id);
    await next(bob, "session-rejoin-delayed");
    const sent = await ada.shareFile(SESSION, new Blob([noise(100_000)]), { name: "photo" });
    const [arrived, delivered] = [next(bob, "file"), next(ada, "file-delivered")];
    busy = false;
    expect((await arrived).file.contentId).toBe(sent.contentId);
    expect((await delivered).clientId).toBe(known);
  });

  it("asks again until there is room, and keeps what waits to be sent", async () => {
    Object.assign(bench.server, { ghosts: true, maxClients: 2 });
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada");
    await bob.joinSession(SESSION, "Bob");
    const first = ada.id!;
    const events = heard(bob);
    bench.server.cut(ada.id);
    const delayed = await next(ada, "session-rejoin-delayed");
    expect(delayed).toMatchObject({ sessionId: SESSION, error: { code: "session_full", name: "SessionError" } });
    const sharing = ["1", "2", "3"].map((data) => ada.shareContent(SESSION, text, data));
    await next(ada, "session-rejoin-delayed");
    const rejoined = next(ada, "session-rejoined");
    bench.server.forget(first);
    await Promise.all([rejoined, ...sharing]);
    await until(() => events.length === 5, "Bob hears all");
    expect(events).toEqual([`left ${first}`, "joined Ada", "content 1", "content 2", "content 3"]);
  });

  it("keeps only so much of what waits to be sent", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    ada.disconnect();
    const kept = Array.from({ length: 1000 }, () => ada.shareContent(SESSION, text, "kept"));
    await expect(ada.shareContent(SESSION, text, "too many")).rejects.toMatchObject({
      code: "too_many",
      name: "ContentError",
    });
    ada.connect();
    await Promise.all(kept);
    await ada.shareContent(SESSION, text, "in again");
    ada.disconnect();
    const large = Array.from({ length: 19 }, () => ada.shareContent(SESSION, text, noise(840_000)));
    await expect(ada.shareContent(SESSION, text, noise(840_000))).rejects.toMatchObject({ code: "too_many" });
    await ada.leaveSession(SESSION);
    expect((await Promise.allSettled(large)).every(({ status }) => status === "rejected")).toBe(true);
  });

  it("does not ask again where the refusal does not pass", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    const failed = next(ada, "session-rejoin-failed");
    bench.server.rule = ({ event }) => (event === "join" ? "wrong_fingerprint" : undefined);
    bench.server.cut();
    await next(ada, "disconnect");
    const sharing = ada.shareContent(SESSION, text, "lost");
    await expect(sharing).rejects.toMatchObject({ code: "wrong_fingerprint" });
    expect((await failed).error).toMatchObject({ code: "wrong_fingerprint" });
    await expect(ada.shareContent(SESSION, text)).rejects.toMatchObject({ code: "not_joined" });
    expect(bench.server.events("join")).toHaveLength(2);
  });

  it("does not ask any more once the session was left", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    const complaints = vi.fn();
    let joins = 0;
    bench.server.rule = ({ event }) => (event === "join" && ++joins > 0 ? "session_full" : undefined);
    bench.server.cut();
    await next(ada, "session-rejoin-delayed");
    await ada.leaveSession(SESSION);
    ada.on("server-error", complaints);
    const before = joins;
    bench.server.rule = () => undefined;
    await ada.joinSession("other", "Ada");
    await ada.leaveSession("other");
    expect(joins).toBe(before);
    expect(bench.server.events("leave")).toEqual([{ sessionId: "other" }]);
    expect(complaints).not.toHaveBeenCalled();
  });

  it("asks once on each connection, whoever is quick to call", async () => {
    const ada = bench.service({ autoConnect: false });
    let joined: Promise<unknown> | undefined;
    ada.once("connect", () => (joined = ada.joinSession(SESSION, "Ada")));
    const again = vi.fn();
    ada.on("session-rejoined", again);
    ada.connect();
    await next(ada, "connect");
    await joined;
    await ada.shareContent(SESSION, text, "a round trip");
    expect(bench.server.events("join")).toHaveLength(1);
    expect(again).not.toHaveBeenCalled();
    // A second cut, while the first rejoin is put off.
    const asked: string[] = [];
    bench.server.rule = ({ event, clientId }) => {
      if (event !== "join") return undefined;
      asked.push(clientId);
      return asked.length === 1 ? "session_full" : undefined;
    };
    bench.server.cut();
    await next(ada, "session-rejoin-delayed");
    const rejoined = next(ada, "session-rejoined");
    bench.server.cut();
    await rejoined;
    await ada.shareContent(SESSION, text, "another one");
    expect(asked).toHaveLength(2);
    expect(new Set(asked).size).toBe(2);
    expect(again).toHaveBeenCalledTimes(1);
  });

  it("pauses longer from attempt to attempt, up to a bound, and not as others do", () => {
    const pauses = new Pauses(100, 1000);
    for (const whole of [100, 200, 400, 800, 1000, 1000]) {
      const pause = pauses.next();
      expect(pause).toBeGreaterThanOrEqual(whole / 2);
      expect(pause).toBeLessThanOrEqual(whole);
    }
    pauses.reset();
    expect(pauses.next()).toBeLessThanOrEqual(100);
    expect(new Set(Array.from({ length: 20 }, () => new Pauses(1000, 1000).next())).size).toBeGreaterThan(1);
  });
});

describe("a client that the server does not want", () => {
  const bench = useBench();
  afterEach(() => void vi.useRealTimers());

  /** staysAway lets an hour pass, and then makes sure that nobody has come. */
  async function staysAway(service: SocketService): Promise<void> {
    const before = bench.server.attempts;
    vi.advanceTimersByTime(3_600_000);
    vi.useRealTimers();
    await bench.service().joinSession("another session", "Witness");
    expect(bench.server.attempts).toBe(before + 1);
    expect(service.connected).toBe(false);
  }

  function stopTime(): void {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  }

  for (const code of [undefined, "kicked", "rate_limited", "token_expired", "unauthorized"]) {
    it(`stays away when it was disconnected${code === undefined ? "" : ` with ${code}`}, until connect is called`, async () => {
      const ada = bench.service();
      await ada.joinSession(SESSION, "Ada");
      stopTime();
      const ended = new Promise<ConnectionError>((resolve) => ada.once("connection-ended", resolve));
      bench.server.dismiss(ada.id!, code);
      expect(await ended).toMatchObject({ code: code ?? "ended", name: "ConnectionError" });
      const sharing = ada.shareContent(SESSION, text, "kept");
      await staysAway(ada);
      const rejoined = next(ada, "session-rejoined");
      ada.connect();
      await rejoined;
      await sharing;
    });
  }

  it("stays away after a kick that closed its transport, and comes back when others are closed", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    const rejoined = next(ada, "session-rejoined");
    bench.server.cut(ada.id);
    await rejoined;
    stopTime();
    const ended = new Promise<ConnectionError>((resolve) => ada.once("connection-ended", resolve));
    bench.server.kick(ada.id!, true);
    expect(await ended).toMatchObject({ code: "kicked", message: "kicked by the server", name: "ConnectionError" });
    await staysAway(ada);
    const back = next(ada, "session-rejoined");
    ada.connect();
    await back;
  });

  it("is told the reason that came with the end, and no earlier one", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    bench.server.emit(ada.id!, "error", { code: "throttled", message: "earlier" });
    bench.server.emit(ada.id!, "client-joined", { sessionId: SESSION, clientId: "x", clientName: "X" });
    const ended = next(ada, "connection-ended");
    bench.server.dismiss(ada.id!);
    expect((await ended).code).toBe("ended");
  });

  it("comes back with a new token when the old one has expired", async () => {
    let token = "old";
    const ada = bench.service({ socket: { auth: (give: (auth: object) => void) => give({ token }) } });
    bench.server.closed = (auth) => (auth.token === token ? undefined : "token_expired");
    await ada.joinSession(SESSION, "Ada");
    const rejoined = next(ada, "session-rejoined");
    token = "new";
    bench.server.dismiss(ada.id!, "token_expired");
    await rejoined;
    // Without another one it stays away.
    bench.server.closed = () => "token_expired";
    const ended = next(ada, "connection-ended");
    bench.server.dismiss(ada.id!, "token_expired");
    expect((await ended).code).toBe("token_expired");
  });

  it("tries again when it is refused for the moment", async () => {
    bench.server.closed = () => "auth_unavailable";
    const ada = bench.service();
    const joining = ada.joinSession(SESSION, "Ada");
    for (let i = 0; i < 3; i++) expect((await next(ada, "connection-error")).code).toBe("auth_unavailable");
    bench.server.closed = undefined;
    await joining;
    // Also when it was in before.
    bench.server.closed = () => "auth_unavailable";
    bench.server.cut();
    await next(ada, "connection-error", ({ code }) => code === "auth_unavailable");
    const rejoined = next(ada, "session-rejoined");
    bench.server.closed = undefined;
    await rejoined;
  });

  for (const code of ["unauthorized", "invalid_token", "forbidden", "token_expired", "something else"]) {
    it(`does not try again when it is refused with ${code}`, async () => {
      bench.server.closed = () => code;
      stopTime();
      const ada = bench.service();
      const ended = new Promise<ConnectionError>((resolve) => ada.once("connection-ended", resolve));
      const joining = ada.joinSession(SESSION, "Ada");
      await expect(joining).rejects.toMatchObject({ code, name: "ConnectionError" });
      expect((await ended).code).toBe(code);
      bench.server.closed = undefined;
      await staysAway(ada);
      await ada.joinSession(SESSION, "Ada");
    });
  }

  it("stays away after disconnect, however often it was refused before", async () => {
    bench.server.closed = () => "auth_unavailable";
    stopTime();
    const ada = bench.service();
    const refused = () => new Promise((resolve) => ada.once("connection-error", resolve));
    await refused();
    const second = refused();
    ada.connect();
    await second;
    ada.disconnect();
    bench.server.closed = undefined;
    await staysAway(ada);
  });

  it("stays away after disconnect, also when its token comes only then", async () => {
    let give: ((auth: object) => void) | undefined;
    const ada = bench.service({ socket: { auth: (answer: (auth: object) => void) => (give = answer) } });
    await until(() => give !== undefined, "it is asked for its token");
    ada.disconnect();
    give!({});
    await bench.service().joinSession("another session", "Witness");
    expect(bench.server.attempts).toBe(1);
    give = undefined;
    ada.connect();
    await until(() => give !== undefined, "it is asked again");
    const connected = next(ada, "connect");
    give!({});
    await connected;
  });

  it("leaves also when the server lets it in only after it was asked to let it go", async () => {
    const ada = bench.service({ joinTimeout: 100 });
    bench.server.rule = ({ event }) => (event === "join" ? "after leave" : undefined);
    await expect(ada.joinSession(SESSION, "Ada")).rejects.toMatchObject({ code: "timeout" });
    await until(() => bench.server.events("leave").length === 2, "it has left once more");
    await until(() => bench.server.members(SESSION).length === 0, "nobody is there");
    // Unless it has joined again.
    await ada.leaveSession("no session");
    bench.server.rule = ({ event }) => {
      if (event !== "join") return undefined;
      return bench.server.events("join").length === 2 ? "after leave" : undefined;
    };
    await expect(ada.joinSession(SESSION, "Ada")).rejects.toMatchObject({ code: "timeout" });
    await ada.joinSession(SESSION, "Ada");
    expect(bench.server.members(SESSION)).toEqual(["Ada"]);
    await ada.shareContent(SESSION, text, "a round trip");
    expect(bench.server.members(SESSION)).toEqual(["Ada"]);
  });

  it("does not take back the place that it has on another connection", async () => {
    bench.server.tokens = true;
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession("other", "Ada");
    await ada.joinSession(SESSION, "Ada");
    await bob.joinSession(SESSION, "Bob");
    const failed = next(ada, "session-rejoin-failed");
    bench.server.emit(ada.id!, "error", { code: "replaced", message: "elsewhere", sessionId: SESSION });
    expect((await failed).error).toMatchObject({ code: "replaced", name: "SessionError" });
    await expect(ada.shareContent(SESSION, text)).rejects.toMatchObject({ code: "not_joined" });
    // It is still in the other session, and goes back into that one alone.
    const rejoined = next(ada, "session-rejoined");
    bench.server.cut(ada.id);
    expect((await rejoined).sessionId).toBe("other");
    await ada.shareContent("other", text, "a round trip");
    expect(bench.server.events("join").map(({ sessionId }) => sessionId)).toEqual(["other", SESSION, SESSION, "other"]);
  });

  it("leaves when it is let in after it has given up", async () => {
    const ada = bench.service({ joinTimeout: 100 });
    bench.server.rule = ({ event }) => (event === "join" ? "late" : undefined);
    const error = await ada.joinSession(SESSION, "Ada").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).not.toBeInstanceOf(SessionError);
    await until(() => bench.server.events("leave").length === 1, "it has left");
    await until(() => bench.server.members(SESSION).length === 0, "nobody is there");
  });
});

describe("a client on a network that fails", () => {
  let clock: Clock;
  let network: Network;
  let server: TestServer;
  const services: SocketService[] = [];

  function start(): void {
    clock = new Clock();
    clock.start();
    network = new Network(() => 5);
    server = new TestServer(network);
  }

  function service(name: string): SocketService {
    const transports = [network.transport(name) as never];
    const made = new SocketService({ url: "http://network.test", socket: { forceNew: true, transports } });
    services.push(made);
    return made;
  }

  afterEach(async () => {
    for (const one of services.splice(0)) one.close();
    // What they have to say at the end is no part of the next test.
    await clock.settle();
    clock.stop();
  });

  /** attempts counts how often somebody tries to connect, within so many milliseconds. */
  async function attempts(milliseconds: number): Promise<number> {
    const before = server.attempts;
    await clock.pass(milliseconds);
    return server.attempts - before;
  }

  it("comes back less and less often while it is thrown out at once, and soon when it was in a session", async () => {
    start();
    const ada = service("Ada");
    void ada.joinSession(SESSION, "Ada").catch(() => undefined);
    await clock.pass(1000);
    expect(server.members(SESSION)).toEqual(["Ada"]);
    // The server lets everybody in, and ends the connection before anything can be joined.
    server.closed = () => {
      queueMicrotask(() => network.lose("Ada", false));
      return undefined;
    };
    network.lose("Ada", false);
    // Each half a second it would be 120 times.
    const times = await attempts(60_000);
    expect(times).toBeGreaterThan(10);
    expect(times).toBeLessThan(30);
    server.closed = undefined;
    await clock.pass(10_000);
    expect(server.members(SESSION)).toEqual(["Ada"]);
    network.lose("Ada", false);
    expect(await attempts(1000)).toBe(1);
  });

  it("does not come back in a wave with all others", async () => {
    start();
    const all = Array.from({ length: 100 }, (_, i) => service(`client ${i}`));
    await clock.pass(1000);
    const times: number[] = [];
    const began = clock.now;
    for (const one of all) one.on("connect", () => times.push(clock.now - began));
    for (let i = 0; i < all.length; i++) network.lose(`client ${i}`, false);
    await clock.pass(5000);
    expect(times).toHaveLength(100);
    const busiest = Math.max(...times.map((time) => times.filter((other) => other >= time && other < time + 50).length));
    expect(busiest).toBeLessThan(30);
  });

  it("has nothing to do any more once it was told to disconnect", async () => {
    start();
    const key = generateKey();
    const [ada, bob] = [service("Ada"), service("Bob")];
    void ada.joinSession(SESSION, "Ada", { key });
    void bob.joinSession(SESSION, "Bob", { key });
    const busy = async (milliseconds: number) => {
      const deadline = performance.now() + DEADLINE;
      while (server.members(SESSION).length < 2 && performance.now() < deadline) await clock.pass(milliseconds);
    };
    await busy(100);
    expect(server.members(SESSION)).toHaveLength(2);
    server.rule = ({ event, payload }) => (event === "chunk" && payload.chunk.totalChunks === 9 ? "throttled" : undefined);
    void ada.shareFile(SESSION, new Blob([noise(9 * 65_536)])).catch(() => undefined);
    const deadline = performance.now() + DEADLINE;
    const refused = () => server.sent.some(({ event, payload }) => event === "chunk" && payload.chunk.totalChunks === 9);
    while (!refused() && performance.now() < deadline) await clock.pass(10);
    expect(refused()).toBe(true);
    ada.disconnect();
    bob.disconnect();
    // What is on its way to the server, and what was being encrypted.
    await new Promise((resolve) => setImmediate(resolve));
    await clock.pass(20);
    expect(clock.pending).toBe(0);
  });
});
