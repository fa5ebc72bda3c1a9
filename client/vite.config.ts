import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (file: string) => fileURLToPath(new URL(`src/${file}`, import.meta.url));

export default defineConfig({
  build: {
    target: "es2022",
    sourcemap: true,
    // Whoever bundles this minifies it; whoever looks for an error can read it.
    minify: false,
    lib: {
      entry: { index: source("index.ts"), react: source("react/index.ts") },
      formats: ["es"],
    },
    rollupOptions: {
      // What uses the package has these itself, and must not have them twice.
      external: ["socket.io-client", "react", "react/jsx-runtime"],
    },
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    testTimeout: 60_000,
    allowOnly: false,
  },
});
