import { fingerprint, newLink, readLink, type SessionLink, writeLink } from "@caddy-socketio/client";
import { useEffect, useState } from "react";
import { Room } from "./room.js";
import { Start } from "./start.js";

const NAME = "share-name";

/** App shows the form until there are a name and a session, and the session then. */
export function App() {
  const link = useLink();
  const [name, setName] = useState(() => recall());
  const [entered, setEntered] = useState(false);
  const print = useFingerprint(link);

  const enter = (chosen: string) => {
    setName(chosen);
    remember(chosen);
    setEntered(true);
    if (link === undefined) location.hash = writeLink(newLink());
  };

  if (globalThis.crypto?.subtle === undefined) {
    return <p className="notice">Encryption needs a page that came over HTTPS, or from localhost. This one did not.</p>;
  }
  if (!entered || link === undefined || print === undefined) {
    return <Start name={name} invited={link !== undefined} onEnter={enter} />;
  }
  const leave = () => {
    setEntered(false);
    history.pushState(null, "", location.pathname);
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  return <Room key={link.sessionId} link={link} fingerprint={print} name={name} onLeave={leave} />;
}

/** useLink follows the session in the address: its fragment holds the key, and never leaves the browser. */
function useLink(): SessionLink | undefined {
  const [link, setLink] = useState(() => readLink(location.hash));
  useEffect(() => {
    const follow = () => setLink(readLink(location.hash));
    addEventListener("hashchange", follow);
    addEventListener("popstate", follow);
    return () => {
      removeEventListener("hashchange", follow);
      removeEventListener("popstate", follow);
    };
  }, []);
  return link;
}

function useFingerprint(link: SessionLink | undefined): string | undefined {
  const [known, setKnown] = useState<{ of: string; print: string }>();
  const key = link?.key;
  const sessionId = link?.sessionId;
  useEffect(() => {
    if (key === undefined || sessionId === undefined) return;
    let current = true;
    void fingerprint(key, sessionId).then((print) => current && setKnown({ of: sessionId + key, print }));
    return () => {
      current = false;
    };
  }, [key, sessionId]);
  return known !== undefined && link !== undefined && known.of === link.sessionId + link.key ? known.print : undefined;
}

// Storage may be switched off.
function recall(): string {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

function remember(name: string): void {
  try {
    localStorage.setItem(NAME, name);
  } catch {
    // It is asked for again the next time.
  }
}
