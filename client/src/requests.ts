import type { Socket } from "socket.io-client";
import { ConnectionError } from "./errors.js";
import { type Ack, readAck } from "./wire.js";

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
}

function disconnected(): ConnectionError {
  return new ConnectionError("disconnected", "There is no connection to the server.");
}
