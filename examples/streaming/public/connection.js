/**
 * connect opens the one Socket.IO connection of the page and reports its state: onState({ phase, transport }) with the
 * phase "connecting", "connected", "reconnecting", or "disconnected" when the server has ended it: the client does not
 * come back by itself then, and the page leaves it at that.
 */
export function connect(onState) {
  // Without an address, the client connects to where the page came from, below /socket.io/.
  const socket = globalThis.io({ reconnectionDelay: 500, reconnectionDelayMax: 3000 });
  const report = (phase) => onState({ phase, transport: socket.io.engine?.transport?.name ?? "" });

  socket.on("connect", () => {
    report("connected");
    // A connection starts with polling, which works everywhere, and moves to WebSocket when that works too.
    socket.io.engine.on("upgrade", () => report("connected"));
  });
  socket.on("disconnect", (reason) => report(reason === "io server disconnect" ? "disconnected" : "reconnecting"));
  socket.io.on("reconnect_attempt", () => report("reconnecting"));
  report("connecting");
  return socket;
}

/** backlog returns how many bytes a connection over WebSocket still holds because the network does not take them. */
export function backlog(socket) {
  return socket.io.engine?.transport?.ws?.bufferedAmount ?? 0;
}
