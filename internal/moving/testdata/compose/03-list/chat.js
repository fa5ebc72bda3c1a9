import { Server } from "socket.io";
const io = new Server(3000, { cors: { origin: /\.example\.com$/ } });
io.on("connection", (socket) => {
  socket.on("chat", (message) => {
    socket.broadcast.emit("chat", message);
  });
  socket.on("typing", (who) => socket.broadcast.emit("typing", who));
  socket.on("cursor", x => socket.broadcast.emit("cursor", x));
});
