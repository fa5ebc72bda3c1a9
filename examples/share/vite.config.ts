import { defineConfig } from "vite";

export default defineConfig({
  // The page works below any path.
  base: "./",
  // The client has a React of its own for its tests; the page must have one.
  resolve: { dedupe: ["react", "react-dom"] },
  build: {
    target: "es2022",
    // The policy of the Caddyfile allows no inline data.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
