// Ports on 127.0.0.1, for TCP and UDP, for the programs that a test starts and
// that must be told theirs.
//
//   const [http, https] = await reservePorts(2);
//
// A port that is asked of the system and given back would be anybody's until
// the program listens on it. One that is reserved is this process's until it
// ends: it is claimed by listening on the same port of 127.0.0.2, which all
// tests of this repository do before they use one (see internal/testport), and
// it lies below the range the system gives to whoever asks for any port, so
// that nobody gets it by chance.

import dgram from "node:dgram";
import net from "node:net";

const first = 20_000;
const count = 12_000;
const claimed = "127.0.0.2";
const loopback = "127.0.0.1";

/** Reserves ports; see the head of this file. */
export async function reservePorts(wanted) {
  const ports = [];
  for (let tries = 0; ports.length < wanted; tries++) {
    if (tries === 500) {
      throw new Error("found no free ports on the loopback interface");
    }
    const port = first + Math.floor(Math.random() * count);
    if (await claim(port)) {
      ports.push(port);
    }
  }
  return ports;
}

// claim takes a port for this process, unless somebody has it.
async function claim(port) {
  const claims = await open(claimed, port);
  if (claims === undefined) {
    return false;
  }
  const probes = await open(loopback, port);
  if (probes === undefined) {
    await close(claims);
    return false;
  }
  await close(probes);
  for (const socket of claims) {
    socket.unref();
  }
  return true;
}

// open takes a port of an address for TCP and UDP, or neither.
async function open(address, port) {
  const tcp = net.createServer();
  const udp = dgram.createSocket("udp4");
  try {
    await listening(tcp, () => tcp.listen({ port, host: address, exclusive: true }));
    await listening(udp, () => udp.bind({ port, address, exclusive: true }));
    return [tcp, udp];
  } catch (error) {
    await close([tcp, udp]);
    if (error.code === "EADDRINUSE") {
      return undefined;
    }
    throw error;
  }
}

function listening(socket, bind) {
  return new Promise((resolve, reject) => {
    socket.once("listening", resolve);
    socket.once("error", reject);
    bind();
  });
}

function close(sockets) {
  const closed = (socket) =>
    new Promise((resolve) => {
      try {
        socket.close(resolve);
      } catch {
        resolve();
      }
    });
  return Promise.all(sockets.map(closed));
}
