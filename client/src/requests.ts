import type { Socket } from "socket.io-client";
import { ConnectionError, SessionError } from "./errors.js";
import type { Membership } from "./membership.js";
import { type Ack, readAck } from "./wire.js";

const MOST_ATTEMPTS = 10;

/** Requests are events that the server answers. */
export class Requests {
  constructor(
    readonly socket: Socket,
    readonly ackTimeout: number,
  ) {}

  /** request sends an event and waits for its answer. It never waits for a connection. */
  request(event: string, payload: unknown, patience = 1): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const { socket } = this;
      if (!socket.connected) {
        reject(disconnected());
        return;
      }
      const ackTimeout = this.ackTimeout * patience;
      socket.timeout(ackTimeout).emit(event, payload, (error: Error | null, ack: unknown) => {
        if (error === null) resolve(readAck(ack));
        else if (!socket.connected) reject(disconnected());
        else reject(new ConnectionError("timeout", `The server did not answer ${event} within ${ackTimeout} ms.`));
      });
    });
  }

  /** retry asks again after a lost connection. What is lost with the connection each time may be why it is lost. */
  async retry(membership: Membership, ask: () => Promise<Ack>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await membership.ready();
      let ack: Ack;
      try {
        ack = await ask();
      } catch (error) {
        if (error instanceof ConnectionError && error.code === "disconnected" && attempt < MOST_ATTEMPTS) continue;
        throw error;
      }
      const refusal = ack.success ? ack.results?.find(({ success }) => !success) : ack;
      if (refusal === undefined) return;
      throw new SessionError(refusal.code ?? "refused", refusal.error ?? "The server refused what was sent.");
    }
  }
}

function disconnected(): ConnectionError {
  return new ConnectionError("disconnected", "There is no connection to the server.");
}
