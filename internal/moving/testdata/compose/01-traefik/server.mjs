import { Server } from "socket.io";
const PORT = Number(process.env.PORT ?? 3043);
const ORIGINS = process.env.CORS_ORIGIN?.split(",");
const io = new Server(PORT, {
  cors: { origin: process.env.CORS_ORIGIN || "https://example.com", credentials: true },
  maxHttpBufferSize: parseInt(process.env.MAX_SIZE || "1000000", 10),
  pingTimeout: process.env.PING_TIMEOUT,
  path: process.env.SOCKET_PATH || "/socket.io",
});
