const express = require("express");
const http = require("http");
const { Server } = require("socket.io");

const app = express();
const server = http.createServer(app);
const io = new Server(server, {
  path: "/streaming/socket.io",
  cors: {
    origin: ["https://app.example.com", "https://admin.example.com"],
    methods: ["GET", "POST"],
    credentials: true,
  },
  transports: ["websocket", "polling"],
  allowEIO3: true,
  pingInterval: 25000,
  pingTimeout: 60 * 1000,
  connectTimeout: 45_000,
  maxHttpBufferSize: 1e8,
  perMessageDeflate: { threshold: 2048 },
  httpCompression: false,
  serveClient: false,
  cookie: { name: "io", path: "/", httpOnly: true, sameSite: "lax", maxAge: 86400 },
  connectionStateRecovery: { maxDisconnectionDuration: 2 * 60 * 1000, skipMiddlewares: true },
});

io.on("connection", (socket) => {
  socket.on("stream:start", (data) => {
    socket.join(data.streamId);
    socket.emit("stream:started", { status: "ok" });
  });
  socket.on("disconnect", () => console.log("bye"));
});

server.listen(3043);
