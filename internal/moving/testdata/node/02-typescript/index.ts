import { createServer } from "http";
import { Server, type Socket } from "socket.io";
interface ClientToServerEvents { hello: (name: string) => void }
const options = { cors: { origin: "*" }, transports: ["websocket"] as const };
const httpServer = createServer();
const io = new Server<ClientToServerEvents, Record<string, never>>(httpServer, {
  ...options,
  pingInterval: 1500,
  maxHttpBufferSize: 100 * 1024 * 1024, // 100 MiB
  allowRequest: (req, callback) => { callback(null, true); },
  unknownOption: 3,
});
io.use((socket, next) => { next(); });
io.on("connection", (socket: Socket) => {
  socket.on("hello", (name) => { io.to("all").emit("hello", name); });
});
httpServer.listen({ port: 4000 });
