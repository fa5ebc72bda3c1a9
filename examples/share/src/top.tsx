import type { SessionStatus } from "@caddy-socketio/client/react";
import type { ReactNode } from "react";

const words: Record<SessionStatus, string> = {
  joining: "connecting",
  joined: "connected",
  interrupted: "reconnecting",
  failed: "not connected",
  left: "not connected",
};

/** Top is the bar at the top, with the state of the connection where there is one. */
export function Top({ status, children }: { status?: SessionStatus; children?: ReactNode }) {
  return (
    <header className="top">
      <p className="brand">
        <img src="icon.svg" alt="" width="32" height="32" />
        <span>
          Caddy <b>share</b>
        </span>
      </p>
      {status !== undefined && (
        <p className="pill" id="connection" role="status" data-status={status}>
          <i aria-hidden="true" />
          <span>{words[status]}</span>
        </p>
      )}
      {children}
    </header>
  );
}
