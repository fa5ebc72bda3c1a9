import { afterEach, beforeEach } from "vitest";
import { type ServiceEvents, type ServiceOptions, SocketService } from "../src/index.js";
import { TestServer } from "./server.js";

/** How long anything that has to happen may take, in milliseconds. */
export const DEADLINE = 30_000;

/** Bench is a server, and services that are closed after the test. */
export interface Bench {
  server: TestServer;
  service(options?: ServiceOptions): SocketService;
}

/** useBench gives each test of a file a server of its own. */
export function useBench(): Bench {
  const services: SocketService[] = [];
  const bench: Bench = {
    server: undefined as unknown as TestServer,
    service(options = {}) {
      const service = new SocketService({
        url: bench.server.url,
        ...options,
        // Without forceNew two services of one process would share a connection.
        socket: {
          forceNew: true,
          reconnectionDelay: 10,
          reconnectionDelayMax: 50,
          transports: ["websocket"],
          ...options.socket,
        },
      });
      services.push(service);
      return service;
    },
  };
  beforeEach(async () => {
    bench.server = new TestServer();
    await bench.server.start();
  });
  afterEach(async () => {
    for (const service of services.splice(0)) service.close();
    await bench.server.stop();
  });
  return bench;
}

/** next resolves with what an event carries the next time, or the next time that it fits. */
export function next<Name extends keyof ServiceEvents>(
  service: SocketService,
  name: Name,
  fits: (value: ServiceEvents[Name]) => boolean = () => true,
): Promise<ServiceEvents[Name]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      remove();
      reject(new Error(`"${name}" did not come within ${DEADLINE} ms`));
    }, DEADLINE);
    const remove = service.on(name, (value) => {
      if (!fits(value)) return;
      clearTimeout(timer);
      remove();
      resolve(value);
    });
  });
}

/** until resolves once a condition holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + DEADLINE;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** noise returns bytes that differ from place to place. */
export function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = 1; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    bytes[i] = x >>> 16;
  }
  return bytes;
}
