import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { ConnectionError, fingerprint, generateKey, KeyError, SessionError } from "../src/index.js";
import { next, until, useBench } from "./helpers.js";

const SESSION = "s";

describe("a session", () => {
  const bench = useBench();

  it("is joined, and tells who is there, who comes and who goes", async () => {
    const [ada, bob] = [bench.service(), bench.service()];
    expect(await ada.joinSession(SESSION, "Ada")).toEqual([{ id: ada.id, name: "Ada" }]);
    const came = next(ada, "client-joined");
    const clients = await bob.joinSession(SESSION, "Bob");
    expect(clients).toEqual([
      { id: ada.id, name: "Ada" },
      { id: bob.id, name: "Bob" },
    ]);
    expect(await came).toEqual({ sessionId: SESSION, clientId: bob.id, clientName: "Bob" });
    expect(ada.clients(SESSION)).toEqual(clients);
    const went = next(ada, "client-left");
    await bob.leaveSession(SESSION);
    expect(await went).toEqual({ sessionId: SESSION, clientId: bob.id });
    expect(ada.clients(SESSION)).toEqual([{ id: ada.id, name: "Ada" }]);
    expect(bob.clients(SESSION)).toEqual([]);
  });

  it("is one of several, and what is said in one is not heard in another", async () => {
    const [ada, bob] = [bench.service(), bench.service()];
    for (const id of ["one", "two"]) await ada.joinSession(id, "Ada");
    await bob.joinSession("two", "Bob");
    const heard: string[] = [];
    ada.on("content", ({ sessionId, data }) => heard.push(`${sessionId}: ${String(data)}`));
    await bob.shareContent("two", { contentType: "text" }, "hello");
    await until(() => heard.length > 0, "something was heard");
    expect(heard).toEqual(["two: hello"]);
    await expect(bob.shareContent("one", { contentType: "text" }, "hello")).rejects.toMatchObject({
      code: "not_joined",
    });
  });

  it("says why it was not joined, and can be tried again", async () => {
    const ada = bench.service();
    bench.server.rule = ({ event }) => (event === "join" ? "session_full" : undefined);
    const error = await ada.joinSession(SESSION, "Ada").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(SessionError);
    expect(error).toMatchObject({ code: "session_full", message: "refused: session_full", name: "SessionError" });
    bench.server.rule = () => undefined;
    await ada.joinSession(SESSION, "Ada");
  });

  it("is not joined twice by one service", async () => {
    const ada = bench.service();
    const joining = ada.joinSession(SESSION, "Ada", { key: generateKey() });
    const twice = await Promise.allSettled([ada.joinSession(SESSION, "Ada"), joining]);
    expect(twice.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await expect(ada.joinSession(SESSION, "Ada")).rejects.toMatchObject({ code: "already_joined" });
  });

  it("is not joined when it is left, or the connection is given up, while its key is made ready", async () => {
    const key = generateKey();
    const ada = bench.service({ autoConnect: false });
    const joining = ada.joinSession(SESSION, "Ada", { key });
    void ada.leaveSession(SESSION);
    await expect(joining).rejects.toMatchObject({ code: "left" });
    const second = ada.joinSession(SESSION, "Ada", { key });
    ada.close();
    await expect(second).rejects.toMatchObject({ code: "left" });
    const third = ada.joinSession(SESSION, "Ada", { key });
    ada.disconnect();
    await bench.service().joinSession("another", "Witness");
    expect(bench.server.attempts).toBe(1);
    ada.connect();
    await third;
    expect(bench.server.events("join").map(({ sessionId }) => sessionId)).toEqual(["another", SESSION]);
  });

  it("is joined anew right after it was left, with nothing in between", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    void ada.leaveSession(SESSION);
    await ada.joinSession(SESSION, "Ada again");
    expect(bench.server.members(SESSION)).toEqual(["Ada again"]);
    await ada.leaveSession(SESSION);
    await ada.leaveSession(SESSION);
    expect(bench.server.members(SESSION)).toEqual([]);
  });

  it("is asked for in good time, or given up", async () => {
    // It turns away whoever comes, and keeps its port from others.
    const nobody = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
    await once(nobody, "listening");
    const url = `http://127.0.0.1:${(nobody.address() as AddressInfo).port}`;
    const ada = bench.service({ url, joinTimeout: 200 });
    const failed = next(ada, "connection-error");
    const error = await ada.joinSession(SESSION, "Ada").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ code: "timeout" });
    expect((await failed).code).toBe("connect_failed");
    nobody.close();
  });

  it("is joined again after a lost connection, with a new token", async () => {
    bench.server.tokens = true;
    const [ada, bob] = [bench.service(), bench.service()];
    await ada.joinSession(SESSION, "Ada", { fingerprint: "print" });
    await bob.joinSession(SESSION, "Bob");
    const before = ada.id;
    const rejoined = next(ada, "session-rejoined");
    bench.server.cut(ada.id);
    // What is shared meanwhile waits for the rejoin.
    const heard = next(bob, "content");
    await next(ada, "disconnect");
    await ada.shareContent(SESSION, { contentType: "text" }, "from the train");
    const { clients } = await rejoined;
    expect(ada.id).not.toBe(before);
    expect(clients.map(({ name }) => name).toSorted()).toEqual(["Ada", "Bob"]);
    expect((await heard).data).toBe("from the train");
    expect(bench.server.events("join").filter(({ clientName }) => clientName === "Ada")).toEqual([
      { sessionId: SESSION, clientName: "Ada", fingerprint: "print" },
      { sessionId: SESSION, clientName: "Ada", fingerprint: "print", token: expect.any(String) },
    ]);
  });

  it("is tried again when joins are throttled", async () => {
    const ada = bench.service();
    let joins = 0;
    bench.server.rule = ({ event }) => (event === "join" && ++joins < 2 ? "throttled" : undefined);
    await ada.joinSession(SESSION, "Ada");
    expect(joins).toBe(2);
  });

  it("does not come back after disconnect, until connect is called", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    ada.disconnect();
    await until(() => bench.server.members(SESSION).length === 0, "the session is empty");
    expect(ada.connected).toBe(false);
    const rejoined = next(ada, "session-rejoined");
    ada.connect();
    await rejoined;
  });

  it("connects once, however often it is told to", async () => {
    const ada = bench.service({ autoConnect: false });
    const pushing = setInterval(() => ada.connect());
    try {
      await ada.joinSession(SESSION, "Ada");
      await ada.shareContent(SESSION, { contentType: "text" }, "hello");
    } finally {
      clearInterval(pushing);
    }
    expect(bench.server.connections).toBe(1);
  });

  it("bears with what makes no sense", async () => {
    const ada = bench.service();
    await ada.joinSession(SESSION, "Ada");
    const nonsense = [
      undefined,
      null,
      1,
      "text",
      [],
      {},
      { sessionId: 1 },
      { sessionId: SESSION },
      { sessionId: "other" },
    ];
    for (const event of ["client-joined", "client-left", "content", "chunk", "error"]) {
      for (const value of nonsense) bench.server.emit(ada.id!, event, value);
      bench.server.emit(ada.id!, event);
    }
    const error = next(ada, "server-error", ({ code }) => code === "after");
    bench.server.emit(ada.id!, "error", { code: "after", message: "all of it" });
    expect(await error).toMatchObject({ name: "ServerError", message: "all of it" });
    expect(ada.clients(SESSION)).toHaveLength(1);
  });

  it("needs a key that is one", async () => {
    const ada = bench.service();
    for (const key of ["", "short", "ä".repeat(43), `${generateKey()}A`]) {
      await expect(ada.joinSession(SESSION, "Ada", { key })).rejects.toBeInstanceOf(KeyError);
    }
    await ada.joinSession(SESSION, "Ada", { key: generateKey() });
  });

  it("has a fingerprint that depends on the key and the session, and shows neither", async () => {
    const key = generateKey();
    const print = await fingerprint(key, SESSION);
    expect(print).toBe(await fingerprint(key, SESSION));
    expect(print).not.toBe(await fingerprint(key, "other"));
    expect(print).not.toBe(await fingerprint(generateKey(), SESSION));
    expect(print).not.toContain(key);
  });
});
