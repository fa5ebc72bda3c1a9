const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const options = {
  adapter: createAdapter(pub, sub),
  upgradeTimeout: 1e4,
  cors: { origin: (origin, cb) => cb(null, true) },
  parser: require("socket.io-msgpack-parser"),
  transports: ["polling", "websocket", "webtransport"],
};
const io = new Server(3100, options);
io.of("/admin").on("connection", (socket) => {});
io.emit("tick", 1);
