const RETURN_MILLISECONDS = 1000; // before coming back when the server has ended the connection

/**
 * connect opens the one Socket.IO connection of the page and reports its state: onState({ phase, transport }) with the
 * phase "connecting", "connected" or "reconnecting".
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
  socket.on("disconnect", (reason) => {
    report("reconnecting");
    // The client comes back by itself, except when it was the server that ended the connection.
    if (reason === "io server disconnect") setTimeout(() => socket.connect(), RETURN_MILLISECONDS);
  });
  socket.io.on("reconnect_attempt", () => report("reconnecting"));
  report("connecting");
  return socket;
}

/** backlog returns how many bytes a connection over WebSocket still holds because the network does not take them. */
export function backlog(socket) {
  return socket.io.engine?.transport?.ws?.bufferedAmount ?? 0;
}
