module.exports = {
  apps: [{
    name: "io", script: "dist/main.js", cwd: "/srv/io", time: true,
    env: { PORT: 3043, MAX_SIZE: 2097152, PING_TIMEOUT: "30000", SOCKET_PATH: "/io", CORS_ORIGIN: "https://a.example.com,https://b.example.com" },
  }],
};
