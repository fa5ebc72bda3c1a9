module.exports = {
  apps: [
    {
      name: "socket-io-streaming",
      script: "./server.js",
      instances: "max",
      exec_mode: "cluster",
      max_memory_restart: "500M",
      watch: false,
      error_file: "./logs/err.log",
      env: { NODE_ENV: "development", PORT: 3043 },
      env_production: {
        NODE_ENV: "production",
        PORT: 3043,
        CORS_ORIGIN: "https://example.com",
        JWT_SECRET: "do-not-tell",
      },
      env_staging: { PORT: 3044 },
      post_update: ["npm install"],
    },
  ],
};
