import { setImmediate as turn } from "node:timers/promises";
import { CHUNK_SIZE, generateKey, type ServiceEvents, type ShareError, SocketService } from "../src/index.js";
import { MemoryStorage } from "../src/freshness.js";
import { Clock } from "./clock.js";
import { noise } from "./helpers.js";
import { Network, NOTICED } from "./network.js";
import { TestServer } from "./server.js";

/** The tabs of three people: two of them are Ada's. */
const TABS = ["Ada", "Ada's other tab", "Bob", "Carol"];
const SESSIONS = ["kitchen", "garden"];
const MOST_LATENCY = 20; // milliseconds
const SIZES = [0, 1, CHUNK_SIZE, 2 * CHUNK_SIZE + 7, 6 * CHUNK_SIZE];
const NOISE = noise(Math.max(...SIZES));

/** Step is something that happens in the model. Its numbers say to whom, where and how much. */
export interface Step {
  does: keyof typeof steps;
  tab: number;
  session: number;
  size: number;
  /** How much time passes after it, in milliseconds. */
  pause: number;
}

/** random returns numbers from 0 to 1, the same ones for the same seed. */
export function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How often something happens, where that is not once in a while. */
const often: Partial<Record<Step["does"], number>> = { join: 10, connect: 3, text: 10, texts: 3, file: 5, abort: 2, wait: 2 };

/** walk returns steps at random. */
export function walk(seed: number, length: number): Step[] {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const choices = (Object.keys(steps) as Step["does"][]).flatMap((does) => new Array<Step["does"]>(often[does] ?? 1).fill(does));
  return Array.from({ length }, () => ({
    does: choices[below(choices.length)]!,
    tab: below(TABS.length),
    session: below(SESSIONS.length),
    size: below(1000),
    pause: [0, 1, 10, 50, 300, 2000][below(6)]!,
  }));
}

/** Shared is something that a tab has shared, and what has become of it. */
interface Shared {
  label: string;
  session: string;
  by: Stay;
  outcome: "pending" | "done" | "failed";
}

interface SharedFile extends Shared {
  bytes: Uint8Array;
  controller: AbortController;
  abortedAt: number | undefined;
  contentId: string | undefined;
}

/** Stay is one tab's part in a session, from joining to leaving. */
interface Stay {
  name: string;
  number: number;
  tab: Tab;
  session: string;
  over: boolean;
  got: Set<string>;
  /** The number of what came last, of each stay that it came from. */
  last: Map<number, number>;
  /** What is known of the files of others, by their names. */
  files: Map<string, { state: "moving" | "held" | "done" | "failed"; error?: ShareError }>;
}

/** Tab is a page that somebody has open, and what is expected of it. */
interface Tab {
  name: string;
  service: SocketService;
  storage: MemoryStorage;
  /** Whether there is to be a connection, by what the page and the server have done. */
  wanted: boolean;
  endings: ShareError[];
  stays: Map<string, Stay>;
  /** What it has had in each session, shown or shared by itself, since it was opened. */
  had: Set<string>;
}

/**
 * World is some tabs and a server, in a time of their own. What must hold at any time is checked after each step; what
 * must come true once all is quiet, at the end.
 */
export class World {
  readonly clock = new Clock();
  readonly network: Network;
  readonly server: TestServer;
  readonly key = generateKey();
  readonly tabs: Tab[];
  readonly texts: Shared[] = [];
  readonly files: SharedFile[] = [];
  #stays = 0;
  #count = 0;
  #problems: string[] = [];
  readonly #random = Math.random;

  constructor(seed: number) {
    const next = random(seed);
    Math.random = next;
    this.clock.start();
    this.network = new Network(() => 1 + Math.floor(next() * MOST_LATENCY));
    this.server = new TestServer(this.network);
    Object.assign(this.server, { tokens: true, history: 1e6 });
    this.tabs = TABS.map((name) => this.#open({ name, storage: new MemoryStorage(), had: new Set() }));
  }

  /** run does the steps, and returns what is wrong, or undefined. */
  async run(walked: readonly Step[]): Promise<string | undefined> {
    try {
      for (const [i, step] of walked.entries()) {
        await steps[step.does](this, this.tabs[step.tab]!, SESSIONS[step.session]!, step.size);
        await this.clock.settle();
        this.#check();
        await this.clock.pass(step.pause);
        this.#check();
        if (this.#problems.length > 0) return `step ${i + 1}, ${step.does}: ${this.#problems.join("; ")}`;
      }
      await this.#quiet();
      if (this.#problems.length > 0) return `at the end: ${this.#problems.join("; ")}`;
      await this.#closed();
      return this.#problems.length > 0 ? `after all was closed: ${this.#problems.join("; ")}` : undefined;
    } finally {
      for (const { service } of this.tabs) service.close();
      await this.clock.settle();
      this.clock.stop();
      Math.random = this.#random;
    }
  }

  /** expect notes what is wrong. */
  expect(holds: boolean, what: string): void {
    if (!holds) this.#problems.push(what);
  }

  join(tab: Tab, session: string): void {
    if (tab.stays.has(session)) return;
    const number = ++this.#stays;
    const name = `${tab.name} #${number}`;
    const stay: Stay = { name, number, tab, session, over: false, got: new Set(), last: new Map(), files: new Map() };
    tab.stays.set(session, stay);
    tab.wanted = true;
    tab.service.joinSession(session, name, { key: this.key }).catch(() => this.#end(stay));
  }

  leave(tab: Tab, session: string): void {
    const stay = tab.stays.get(session);
    if (stay !== undefined) this.#end(stay);
    void tab.service.leaveSession(session);
  }

  text(tab: Tab, session: string, batched: boolean): void {
    const stay = tab.stays.get(session);
    if (stay === undefined) return;
    const shared = Array.from({ length: batched ? 3 : 1 }, () => this.#note(stay));
    this.texts.push(...shared);
    const contents = shared.map(({ label }) => ({ content: { contentType: "text" }, data: label }));
    for (const { label } of shared) tab.had.add(label);
    const sent = batched
      ? tab.service.batch(session, contents)
      : tab.service.shareContent(session, contents[0]!.content, contents[0]!.data);
    void settled(shared, sent);
  }

  file(tab: Tab, session: string, size: number): void {
    const stay = tab.stays.get(session);
    if (stay === undefined) return;
    const bytes = NOISE.slice(0, size);
    const controller = new AbortController();
    const shared = { ...this.#note(stay), bytes, controller, abortedAt: undefined, contentId: undefined };
    this.files.push(shared);
    const contentId = `file ${shared.label}`;
    const options = { name: shared.label, contentId, signal: controller.signal };
    const sent = tab.service.shareFile(session, new Blob([bytes]), options);
    Object.assign(shared, { contentId });
    void settled([shared], sent);
  }

  /** abort gives up a file that is on its way: its sender is told at once. */
  async abort(tab: Tab, which: number): Promise<void> {
    const moving = this.files.filter(({ by, outcome }) => by.tab === tab && outcome === "pending");
    const file = moving[which % moving.length];
    if (file === undefined) return;
    file.abortedAt = this.clock.now;
    file.controller.abort();
    await this.clock.settle();
    this.expect(file.outcome === "failed", `${file.label} was aborted, and is ${file.outcome}`);
  }

  /** reload closes the page and opens it again: what its tab keeps is kept. */
  reload(tab: Tab): void {
    for (const stay of tab.stays.values()) this.#end(stay);
    tab.service.close();
    this.tabs[this.tabs.indexOf(tab)] = this.#open(tab);
  }

  /** kick puts a tab out, which then stays away. */
  async kick(tab: Tab, close: boolean): Promise<void> {
    const { id } = tab.service;
    if (id === undefined || this.network.open(tab.name).length === 0) return;
    this.server.kick(id, close);
    await this.clock.pass(2 * MOST_LATENCY + 1);
    this.expect(!tab.service.connected, `${tab.name} was kicked, and is here`);
    const code = tab.endings.at(-1)?.code;
    this.expect(tab.wanted === false && code === "kicked", `${tab.name} was kicked, and was told ${code}`);
  }

  #open({ name, storage, had }: Pick<Tab, "name" | "storage" | "had">): Tab {
    const service = new SocketService({
      url: "http://model.test",
      storage,
      autoConnect: false,
      socket: { forceNew: true, transports: [this.network.transport(name) as never] },
    });
    const tab: Tab = { name, storage, had, service, wanted: false, endings: [], stays: new Map() };
    const inStay = <Name extends keyof ServiceEvents>(name: Name, handle: (stay: Stay, value: ServiceEvents[Name]) => void) =>
      service.on(name, (value) => {
        const stay = tab.stays.get((value as { sessionId: string }).sessionId);
        if (stay !== undefined) handle(stay, value);
        // That what was sent has come to nothing is told when the session was left, too.
        else this.expect(name === "file-error", `${tab.name} hears "${name}" of a session it has left`);
      });
    service.on("connection-ended", (error) => {
      tab.endings.push(error);
      tab.wanted = false;
    });
    inStay("session-rejoin-failed", (stay) => this.#end(stay));
    inStay("content-error", (stay, { error }) => this.expect(false, `${stay.name}: ${error.message}`));
    inStay("content", (stay, { data, content, clientId, freshness }) => {
      const label = String(data);
      const [by, number] = label.split(".").map(Number) as [number, number];
      this.expect(!stay.got.has(label), `${stay.name} got ${label} twice`);
      this.expect(number > (stay.last.get(by) ?? 0), `${stay.name} got ${label} after ${by}.${stay.last.get(by)}`);
      stay.last.set(by, number);
      const expected = tab.had.has(label) ? "again" : "new";
      this.expect(freshness === expected, `${stay.name} got ${label}, which is ${expected}, as ${freshness}`);
      this.expect(clientId === content.senderId, `${stay.name} got ${label} from ${clientId}, not ${content.senderId}`);
      tab.had.add(label);
      stay.got.add(label);
    });
    const sets = (stay: Stay, name: string, state: "moving" | "held" | "done" | "failed", error?: ShareError) => {
      const before = stay.files.get(name);
      this.expect(before?.state !== "done", `${stay.name} has ${name}, and it is ${state}`);
      stay.files.set(name, { state, ...(error === undefined ? {} : { error }) });
    };
    inStay("file-offered", (stay, { file, direction }) => direction === "in" && sets(stay, file.name, "moving"));
    inStay("file-held", (stay, { file }) => sets(stay, file.name, "held"));
    inStay("file-progress", (stay, { file, direction }) => direction === "in" && sets(stay, file.name, "moving"));
    inStay("file", (stay, { file, blob }) => {
      sets(stay, file.name, "done");
      const sent = this.files.find(({ label }) => label === file.name);
      void blob.arrayBuffer().then((got) => {
        this.expect(sent !== undefined && Buffer.compare(sent.bytes, new Uint8Array(got)) === 0, `${stay.name} got another ${file.name}`);
      });
    });
    inStay("file-error", (stay, { file, error }) => {
      // What an earlier stay of this tab has shared may come to an end now.
      const own = this.files.some(({ label, by }) => label === file?.name && by.tab === tab);
      if (!own || stay.files.has(file?.name ?? "")) sets(stay, file?.name ?? "", "failed", error);
    });
    return tab;
  }

  #note(by: Stay): Shared {
    return { label: `${by.number}.${++this.#count}`, session: by.session, by, outcome: "pending" };
  }

  #end(stay: Stay): void {
    stay.over = true;
    if (stay.tab.stays.get(stay.session) === stay) stay.tab.stays.delete(stay.session);
  }

  /** check checks what holds at any time. */
  #check(): void {
    for (const { name, service, wanted } of this.tabs) {
      const lines = this.network.open(name).length;
      this.expect(lines <= 1, `${name} has ${lines} connections`);
      this.expect(wanted || (lines === 0 && !service.connected), `${name} is connected, and is not to be`);
    }
  }

  /** quiet lets everything come to an end, with a server that works, and checks what must have come true. */
  async #quiet(): Promise<void> {
    this.network.down = false;
    this.server.closed = undefined;
    this.server.rule = () => undefined;
    await this.clock.pass(NOTICED + 200_000);
    this.#check();
    for (const session of SESSIONS) {
      const stays = this.tabs.flatMap(({ stays, wanted }) => (wanted ? [...stays.values()] : []));
      const here = stays.filter((stay) => stay.session === session);
      const names = here.map(({ name }) => name).toSorted();
      const seats = this.server.members(session).toSorted();
      this.expect(same(names, seats), `in ${session} are ${names.join()}, and the server has ${seats.join()}`);
      for (const stay of here) this.#checkStay(stay, names);
    }
    for (const { label, outcome, by } of [...this.texts, ...this.files]) {
      const waits = !by.over && !by.tab.wanted;
      this.expect(outcome !== "pending" || waits, `${label} is pending`);
    }
    for (const { label, contentId, abortedAt } of this.files) {
      if (abortedAt === undefined) continue;
      const late = this.server.sent.find(
        ({ event, payload, at }) =>
          event === "chunk" && payload.chunk.contentId === contentId && at > abortedAt + MOST_LATENCY,
      );
      this.expect(late === undefined, `${label} was aborted at ${abortedAt}, and came at ${late?.at}`);
    }
  }

  #checkStay({ name, session, tab, got, files, number }: Stay, names: string[]): void {
    const clients = tab.service.clients(session).map((client) => client.name);
    this.expect(same(clients.toSorted(), names), `${name} sees ${clients.join()}, and there are ${names.join()}`);
    for (const { label, session: where, by, outcome } of this.texts) {
      if (where !== session || by.number === number || outcome !== "done") continue;
      this.expect(got.has(label), `${name} has not got ${label}`);
    }
    for (const [file, { state }] of files) this.expect(state !== "moving", `${name} still waits for ${file}`);
    for (const { label, session: where, by, outcome } of this.files) {
      if (where !== session || by.number === number || by.over || !by.tab.wanted || outcome !== "done") continue;
      const state = files.get(label);
      this.expect(state?.state === "done", `${name} has not got ${label}: ${state?.state} ${state?.error?.message}`);
    }
  }

  /** closed closes all tabs: nobody connects any more, and nothing is due. */
  async #closed(): Promise<void> {
    for (const { service } of this.tabs) service.close();
    const { attempts } = this.server;
    await this.clock.pass(10 * MOST_LATENCY);
    this.expect(this.clock.pending === 0, `${this.clock.pending} timers are running`);
    await this.clock.pass(3_600_000);
    this.expect(this.server.attempts === attempts, "somebody has connected");
    for (const session of SESSIONS) this.expect(this.server.members(session).length === 0, `somebody is in ${session}`);
    await turn();
  }
}

/** steps are what may happen. */
const steps = {
  join: (world: World, tab: Tab, session: string) => world.join(tab, session),
  leave: (world: World, tab: Tab, session: string) => world.leave(tab, session),
  connect: (_: World, tab: Tab) => {
    tab.wanted = true;
    tab.service.connect();
  },
  disconnect: (_: World, tab: Tab) => {
    tab.wanted = false;
    tab.service.disconnect();
  },
  reload: (world: World, tab: Tab) => world.reload(tab),
  lose: (world: World, tab: Tab) => world.network.lose(tab.name, false),
  "lose silently": (world: World, tab: Tab) => world.network.lose(tab.name, true),
  kick: (world: World, tab: Tab) => world.kick(tab, false),
  "kick and close": (world: World, tab: Tab) => world.kick(tab, true),
  text: (world: World, tab: Tab, session: string) => world.text(tab, session, false),
  texts: (world: World, tab: Tab, session: string) => world.text(tab, session, true),
  file: (world: World, tab: Tab, session: string, size: number) => world.file(tab, session, SIZES[size % SIZES.length]!),
  abort: (world: World, tab: Tab, _: string, size: number) => world.abort(tab, size),
  wait: (world: World, _: Tab, __: string, size: number) => world.clock.pass(size * 40),
  "network down": (world: World, _: Tab, __: string, size: number) => {
    world.network.down = true;
    lasts(size, () => (world.network.down = false));
  },
  "nobody is let in": (world: World, _: Tab, __: string, size: number) => {
    world.server.closed = () => "auth_unavailable";
    lasts(size, () => (world.server.closed = undefined));
  },
  "joins are not answered": (world: World, _: Tab, __: string, size: number) => {
    const code = ["late", "ignore", "throttled", "after leave"][size % 4]!;
    world.server.rule = ({ event }) => (event === "join" ? code : undefined);
    lasts(size, () => (world.server.rule = () => undefined));
  },
};

/** lasts ends a trouble after a while. */
function lasts(size: number, end: () => void): void {
  setTimeout(end, 10 + 20 * size);
}

async function settled(shared: Shared[], sent: Promise<unknown>): Promise<void> {
  const outcome = await sent.then(
    () => "done" as const,
    () => "failed" as const,
  );
  for (const one of shared) one.outcome = outcome;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
