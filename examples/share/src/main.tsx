import { SocketProvider } from "@caddy-socketio/client/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.js";

// "/share" is the Socket.IO namespace in which the Caddyfile offers sessions.
createRoot(document.querySelector("#root")!).render(
  <StrictMode>
    <SocketProvider options={{ url: "/share" }}>
      <App />
    </SocketProvider>
  </StrictMode>,
);
