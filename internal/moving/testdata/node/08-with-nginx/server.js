const { Server } = require("socket.io");
const io = new Server(httpServer, { path: "/live/", pingTimeout: 30000, maxHttpBufferSize: 5e6, cors: { origin: process.env.CORS_ORIGIN.split(",") } });
io.on("connection", (socket) => {
  socket.on("chat", (m) => { socket.broadcast.emit("chat", m); });
});
httpServer.listen(process.env.PORT || 3000);
