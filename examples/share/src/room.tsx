import { type SessionLink, type ShareError } from "@caddy-socketio/client";
import { useSession } from "@caddy-socketio/client/react";
import { useCallback, useEffect } from "react";
import { Composer } from "./composer.js";
import { useDrop, usePaste } from "./drop.js";
import { Feed } from "./feed.js";
import { Invite } from "./invite.js";
import { News } from "./news.js";
import { Top } from "./top.js";

// Longer texts are shared as a file: a message to the server has a limit.
const LONGEST_TEXT = 100_000;

interface RoomProps {
  link: SessionLink;
  fingerprint: string;
  name: string;
  onLeave: () => void;
}

/** Room is a session: what was shared, what one shares next, and who is there. */
export function Room({ link, fingerprint, name, onLeave }: RoomProps) {
  const session = useSession(link.sessionId, name, { key: link.key, fingerprint });
  const { shareFile, shareText } = session;
  const shareFiles = useCallback(
    (files: Iterable<File>) => {
      for (const file of files) void shareFile(file);
    },
    [shareFile],
  );
  const share = (text: string) => {
    if (text.length <= LONGEST_TEXT) void shareText(text);
    else void shareFile(new File([text], "text.txt", { type: "text/plain" }));
  };
  const dragging = useDrop(shareFiles);
  usePaste(shareFiles);
  useWarning(session.items.some((item) => item.own && item.kind === "file" && item.state === "moving"));

  return (
    <>
      <a className="skip" href="#text" onClick={toText}>
        Skip to writing
      </a>
      <Top status={session.status}>
        <button type="button" className="leave" onClick={onLeave}>
          Leave
        </button>
      </Top>
      <Problem
        error={session.status === "joined" ? undefined : session.error}
        failed={session.status === "failed"}
        onRetry={session.retry}
      />
      <main className="room">
        <section className="shared" aria-labelledby="shared-title">
          <h1 id="shared-title" className="hidden">
            Shared here
          </h1>
          <Feed session={session} />
          <Composer onText={share} onFiles={shareFiles} />
        </section>
        <aside>
          <Invite />
          <section className="panel" aria-labelledby="people-title">
            <h2 id="people-title">Who is here</h2>
            <ul className="people" id="people">
              {session.clients.map((client) => (
                <li key={client.id}>
                  <i aria-hidden="true">{[...client.name][0]?.toUpperCase()}</i>
                  <span>{client.name}</span>
                  {client.id === session.ownId && <small>you</small>}
                </li>
              ))}
            </ul>
          </section>
        </aside>
      </main>
      <News session={session} />
      {dragging && (
        <div className="drop" aria-hidden="true">
          <p>Drop files to share them</p>
        </div>
      )}
    </>
  );
}

/** useWarning has the browser ask before the page is closed: a file that is on its way would stop. */
function useWarning(busy: boolean): void {
  useEffect(() => {
    if (!busy) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [busy]);
}

// The fragment is the session's: a link to a place in the page must not replace it.
function toText(event: { preventDefault: () => void }) {
  event.preventDefault();
  document.querySelector<HTMLElement>("#text")?.focus();
}

const reasons: Record<string, string> = {
  session_full: "This session has as many people as it may have.",
  too_many_sessions: "The server has as many sessions as it may have. Try again later.",
  no_fingerprint: "Somebody who is in this session has to load this page anew before others can join. Try again then.",
  wrong_fingerprint: "The key in this link is not the session's. Was the link cut off?",
  connect_failed: "The server cannot be reached. Trying again.",
  timeout: "The server does not answer. Trying again.",
  auth_unavailable: "The server cannot ask who you are. Trying again.",
  ended: "The server has ended the connection.",
  kicked: "Whoever runs the server has ended the connection.",
  replaced: "You are in this session from another tab or window.",
};

function Problem({ error, failed, onRetry }: { error: ShareError | undefined; failed: boolean; onRetry: () => void }) {
  if (error === undefined) return null;
  return (
    <div className="notice" id="notice" role="alert">
      <p>{reasons[error.code] ?? error.message}</p>
      {failed && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
