// @vitest-environment jsdom
import { act, cleanup, configure, render, screen, waitFor } from "@testing-library/react";
import { Blob, File } from "node:buffer";
import { StrictMode } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { generateKey, sha256 } from "../src/index.js";
import { type FileItem, type Session, SocketProvider, useSession, useSocket } from "../src/react/index.js";
import { DEADLINE, next, noise, until, useBench } from "./helpers.js";

configure({ asyncUtilTimeout: DEADLINE });

const SESSION = "s";
const socket = { forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 50, transports: ["websocket"] };

describe("the hooks", () => {
  const bench = useBench();
  let session: Session;

  beforeEach(() => {
    vi.spyOn(console, "error");
    // jsdom's own cannot be read.
    vi.stubGlobal("Blob", Blob);
    vi.stubGlobal("File", File);
  });
  afterEach(() => {
    cleanup();
    expect(console.error).not.toHaveBeenCalled();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  function Room({ name, id = SESSION, sessionKey }: { name: string; id?: string; sessionKey?: string }) {
    session = useSession(id, name, sessionKey === undefined ? {} : { key: sessionKey });
    return (
      <>
        <p>status: {session.status}</p>
        <ul>
          {session.clients.map((client) => (
            <li key={client.id}>{client.name}</li>
          ))}
        </ul>
        <ol>
          {session.items.map((item) => (
            <li key={item.id}>
              {item.kind === "content" ? String(item.data) : `${item.file.name} ${item.bytes}/${item.file.size}`}{" "}
              {item.state}
            </li>
          ))}
        </ol>
      </>
    );
  }

  const options = () => ({ url: bench.server.url, socket });
  const status = (text: string) => waitFor(() => screen.getByText(`status: ${text}`));
  const joins = () => bench.server.events("join").length;

  it("join once in strict mode, see others come and go, and leave with the component", async () => {
    const room = render(
      <StrictMode>
        <SocketProvider options={options()}>
          <Room name="Ada" />
        </SocketProvider>
      </StrictMode>,
    );
    await status("joined");
    const bob = bench.service();
    await bob.joinSession(SESSION, "Bob");
    await waitFor(() => expect(screen.getAllByRole("listitem").map((li) => li.textContent)).toEqual(["Ada", "Bob"]));
    expect(joins()).toBe(2);
    expect(bench.server.events("leave")).toHaveLength(0);
    await bob.leaveSession(SESSION);
    await waitFor(() => expect(session.clients).toHaveLength(1));
    room.unmount();
    await until(() => bench.server.members(SESSION).length === 0, "the session is empty");
  });

  it("show what is shared, whether it comes or goes", async () => {
    const key = generateKey();
    render(
      <SocketProvider options={options()}>
        <Room name="Ada" sessionKey={key} />
      </SocketProvider>,
    );
    await status("joined");
    const bob = bench.service();
    await bob.joinSession(SESSION, "Bob", { key });
    const heard = next(bob, "content");
    await act(() => session.shareText("hello"));
    expect((await heard).data).toBe("hello");
    await act(async () => void (await bob.shareContent(SESSION, { contentType: "text" }, "hi there")));
    await waitFor(() => screen.getByText("hi there done"));
    screen.getByText("hello done");

    const bytes = noise(200_000);
    await act(async () => void (await bob.shareFile(SESSION, new globalThis.File([bytes], "in.bin"))));
    await waitFor(() => screen.getByText("in.bin 200000/200000 done"));
    const item = session.items.at(-1)!;
    expect(item).toMatchObject({ kind: "file", own: false });
    expect(await sha256((item as FileItem).blob!)).toBe(await sha256(bytes));

    const arrived = next(bob, "file");
    await act(() => session.shareFile(new globalThis.File([bytes], "out.bin")));
    expect((await arrived).file.name).toBe("out.bin");
    await waitFor(() =>
      expect(session.items.at(-1)).toMatchObject({ own: true, state: "done", deliveredTo: [bob.id] }),
    );

    bench.server.rule = ({ event }) => (event === "content" ? "invalid_content" : undefined);
    await act(() => session.shareText("refused"));
    await waitFor(() => screen.getByText("refused failed"));
    await act(() => session.shareFile(new globalThis.File([bytes], "refused.bin")));
    await waitFor(() => screen.getByText("refused.bin 0/200000 failed"));
  });

  it("say when the connection is lost, and when it is back", async () => {
    render(
      <SocketProvider options={options()}>
        <Room name="Ada" />
      </SocketProvider>,
    );
    await status("joined");
    bench.server.rule = ({ event }) => (event === "join" ? "throttled" : undefined);
    bench.server.cut();
    await status("interrupted");
    bench.server.rule = () => undefined;
    await status("joined");
  });

  it("say why they cannot join, and try again when told to", async () => {
    bench.server.rule = ({ event }) => (event === "join" ? "session_full" : undefined);
    render(
      <SocketProvider options={options()}>
        <Room name="Ada" />
      </SocketProvider>,
    );
    await status("failed");
    expect(session.error).toMatchObject({ code: "session_full" });
    bench.server.rule = () => undefined;
    act(() => session.retry());
    await status("joined");
    expect(session.error).toBeUndefined();
  });

  it("say why they are kept waiting when the connection is back", async () => {
    render(
      <SocketProvider options={options()}>
        <Room name="Ada" />
      </SocketProvider>,
    );
    await status("joined");
    bench.server.rule = ({ event }) => (event === "join" ? "session_full" : undefined);
    bench.server.cut();
    await waitFor(() => expect(session.error).toMatchObject({ code: "session_full" }));
    await status("interrupted");
    bench.server.rule = () => undefined;
    await status("joined");
    expect(session.error).toBeUndefined();
  });

  it("stay away when the server has ended the connection, and come back when told to", async () => {
    const service = bench.service();
    render(
      <SocketProvider service={service}>
        <Room name="Ada" />
      </SocketProvider>,
    );
    await status("joined");
    bench.server.dismiss(service.id!, "kicked");
    await status("failed");
    expect(session.error).toMatchObject({ code: "kicked", name: "ConnectionError" });
    act(() => session.retry());
    await status("joined");
    expect(session.error).toBeUndefined();
    expect(joins()).toBe(2);
  });

  it("do not ask again when the server does not let them in", async () => {
    bench.server.closed = () => "unauthorized";
    render(
      <SocketProvider options={options()}>
        <Room name="Ada" />
      </SocketProvider>,
    );
    await status("failed");
    expect(session.error).toMatchObject({ code: "unauthorized" });
    expect(bench.server.attempts).toBe(1);
    bench.server.closed = undefined;
    act(() => session.retry());
    await status("joined");
  });

  it("have a new place when they are told to after another connection has taken theirs", async () => {
    const service = bench.service();
    render(
      <SocketProvider service={service}>
        <Room name="Ada" />
      </SocketProvider>,
    );
    await status("joined");
    bench.server.emit(service.id!, "error", { code: "replaced", message: "elsewhere", sessionId: SESSION });
    await status("failed");
    expect(session.error).toMatchObject({ code: "replaced" });
    act(() => session.retry());
    await status("joined");
  });

  it("move to another session, and to another name", async () => {
    const room = (id: string, name: string) => (
      <StrictMode>
        <SocketProvider options={options()}>
          <Room id={id} name={name} />
        </SocketProvider>
      </StrictMode>
    );
    const { rerender } = render(room("one", "Ada"));
    await status("joined");
    rerender(room("two", "Ada"));
    await until(
      () => bench.server.members("two").length === 1 && bench.server.members("one").length === 0,
      "it is in two",
    );
    rerender(room("two", "Ada Lovelace"));
    await until(() => bench.server.members("two").join() === "Ada Lovelace", "it has the other name");
    await status("joined");
    rerender(room("two", "Ada"));
    await until(() => bench.server.members("two").join() === "Ada", "it has the first name again");
  });

  it("share one session between components", async () => {
    const both = (second: boolean) => (
      <SocketProvider options={options()}>
        <Room name="Ada" />
        {second && <Room name="Ada" />}
      </SocketProvider>
    );
    const { rerender } = render(both(true));
    await waitFor(() => expect(screen.getAllByText("status: joined")).toHaveLength(2));
    expect(joins()).toBe(1);
    rerender(both(false));
    await act(() => session.shareText("still here"));
    await waitFor(() => screen.getByText("still here done"));
    expect(bench.server.members(SESSION)).toEqual(["Ada"]);
  });

  it("use a service of yours, and leave it alone", async () => {
    const service = bench.service();
    function Id() {
      return <p>{useSocket() === service ? "mine" : "another"}</p>;
    }
    const room = render(
      <SocketProvider service={service}>
        <Id />
        <Room name="Ada" />
      </SocketProvider>,
    );
    screen.getByText("mine");
    await status("joined");
    room.unmount();
    await until(() => bench.server.members(SESSION).length === 0, "the session is empty");
    expect(service.connected).toBe(true);
  });

  it("move from a service of yours to one of the provider's, and back", async () => {
    const service = bench.service();
    const services = new Set<unknown>();
    function Show() {
      services.add(useSocket());
      return null;
    }
    const room = (given: typeof service | undefined) => (
      <SocketProvider {...(given === undefined ? { options: options() } : { service: given })}>
        <Show />
        <Room name="Ada" />
      </SocketProvider>
    );
    const { rerender } = render(room(service));
    await status("joined");
    rerender(room(undefined));
    await until(() => bench.server.connections === 2, "another has connected");
    await status("joined");
    rerender(room(service));
    await status("joined");
    await until(() => bench.server.members(SESSION).length === 1, "the other has left");
    expect(services.size).toBe(2);
    expect(service.connected).toBe(true);
  });

  it("keep so many bytes of the files that have come, and let go of the oldest first", async () => {
    const key = generateKey();
    render(
      <SocketProvider options={options()} maxKeptBytes={25_000}>
        <Room name="Ada" sessionKey={key} />
      </SocketProvider>,
    );
    await status("joined");
    const bob = bench.service();
    await bob.joinSession(SESSION, "Bob", { key });
    await act(() => session.shareFile(new globalThis.File([noise(100_000)], "own")));
    const shares = async (name: string, size: number) => {
      await act(async () => void (await bob.shareFile(SESSION, new globalThis.File([noise(size)], name))));
      await waitFor(() => screen.getByText(`${name} ${size}/${size} done`));
    };
    const kept = () => session.items.flatMap((item) => (item.kind === "file" && item.blob ? [item.file.name] : []));
    for (const name of ["1", "2"]) await shares(name, 10_000);
    expect(kept()).toEqual(["own", "1", "2"]);
    await shares("3", 10_000);
    expect(kept()).toEqual(["own", "2", "3"]);
    expect(session.items[1]).toMatchObject({ state: "done", error: { code: "released", name: "TransferError" } });
    // The one that has just come is kept, however large.
    await shares("4", 30_000);
    expect(kept()).toEqual(["own", "4"]);
  });

  it("do not share what was given up before", async () => {
    const key = generateKey();
    render(
      <SocketProvider options={options()}>
        <Room name="Ada" sessionKey={key} />
      </SocketProvider>,
    );
    await status("joined");
    await act(() => session.shareFile(new globalThis.File([noise(10)], "x"), { signal: AbortSignal.abort() }));
    await waitFor(() => screen.getByText("x 0/10 failed"));
    expect(bench.server.events("content")).toEqual([]);
  });

  it("need a provider", () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect(() => render(<Room name="Ada" />)).toThrow("<SocketProvider>");
    vi.mocked(console.error).mockClear();
  });
});
