// The streaming service as it ran before: Node, socket.io, one process. It answers the events of the wire contract and
// nothing else, so that a benchmark compares servers and not features.
import { createServer } from "node:http";
import { Server } from "socket.io";

const host = "127.0.0.1";
const port = Number(process.env.PORT ?? 0);
const milliseconds = (name, otherwise) => Number(process.env[name] ?? otherwise);

// With AUDIENCE=subscribers a stream's data goes to those who joined it.
const subscribers = process.env.AUDIENCE === "subscribers";

// With COMPRESSION=on both transports compress from 1 KB on, and each message over WebSocket stands alone.
const compressed = process.env.COMPRESSION === "on";

// The counters make ghosts (sockets whose client is gone) and repeated disconnects visible from outside.
const seen = { connected: 0, disconnected: 0, twice: 0 };

const http = createServer((request, response) => {
  if (request.url !== "/health") {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({
    status: "ok",
    service: "node",
    connections: io.engine.clientsCount,
    sockets: io.of("/").sockets.size,
    ...seen,
  }));
});

const io = new Server(http, {
  pingInterval: milliseconds("PING_INTERVAL_MS", 25_000),
  pingTimeout: milliseconds("PING_TIMEOUT_MS", 20_000),
  maxHttpBufferSize: 1e6,
  perMessageDeflate: compressed && {
    threshold: 1024,
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
  },
  httpCompression: compressed && { threshold: 1024 },
  serveClient: false,
});

io.on("connection", (socket) => {
  seen.connected++;
  let gone = false;

  socket.on("stream:start", (stream) => {
    socket.emit("stream:started", { status: "ok", streamId: stream?.streamId });
  });
  socket.on("stream:data", (chunk) => {
    const audience = subscribers ? socket.to(`stream:${chunk?.streamId}`) : socket.broadcast;
    audience.emit("stream:data", chunk);
  });
  socket.on("stream:stop", (stream) => {
    socket.emit("stream:stopped", { status: "ok", streamId: stream?.streamId });
  });
  socket.on("message", (message) => {
    socket.broadcast.emit("message", message);
  });
  socket.on("stream:join", (stream, answer) => {
    socket.join(`stream:${stream?.streamId}`);
    answer?.({ success: true, stream: { streamId: stream?.streamId } });
  });
  socket.on("disconnect", () => {
    seen.disconnected++;
    if (gone) seen.twice++;
    gone = true;
  });
});

http.listen(port, host, () => {
  // The parent reads the chosen port from this line.
  console.log(`listening ${host}:${http.address().port}`);
});

process.on("SIGTERM", () => process.exit(0));
