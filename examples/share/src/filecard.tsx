import { sha256 } from "@caddy-socketio/client";
import type { FileItem, Session } from "@caddy-socketio/client/react";
import { useEffect, useId, useState } from "react";
import { bytes, percent } from "./format.js";

// What a browser shows as a picture, and nothing that could be more than one.
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);
const LARGEST_PICTURE = 30_000_000; // bytes

/** FileCard shows a file: how far it is, and what to do with it. */
export function FileCard({ item, session }: { item: FileItem; session: Session }) {
  const { file, state, own, blob } = item;
  const title = useId();
  const waiting = state === "moving" || state === "held" || item.error?.code === "unavailable";
  const away = !own && waiting && !session.clients.some(({ id, name }) => isSender(file, id, name));
  const picture = PICTURES.has(file.type) && file.size <= LARGEST_PICTURE;
  const url = useURL(
    state === "done" || (own && picture) ? blob : undefined,
    picture ? file.type : "application/octet-stream",
  );
  return (
    <div className="file">
      {picture && url !== undefined && <img src={url} alt={file.name} />}
      <p className="name">
        <b id={title}>{file.name}</b> <span>{bytes(file.size)}</span>
      </p>
      {state === "moving" && (
        <div className="moving">
          <progress max={file.size} value={item.bytes} aria-labelledby={title} />
          <span className="percent">{percent(item.bytes, file.size)}</span>
          {own && (
            <button type="button" className="quiet" onClick={() => session.cancel(item.id)} aria-describedby={title}>
              Cancel
            </button>
          )}
        </div>
      )}
      {away && <p className="soft">{file.senderName} is not here. It comes when they are back.</p>}
      {state === "held" && !away && (
        <div className="actions">
          <button type="button" onClick={() => session.fetch(item.id)} aria-describedby={title}>
            Get it
          </button>
        </div>
      )}
      {state === "done" && own && <p className="soft">{delivered(item, session)}</p>}
      {state === "failed" && !away && (
        <p className="error">{item.error?.code === "aborted" ? "You cancelled it." : item.error?.message}</p>
      )}
      {item.error?.code === "released" && <p className="soft">{item.error.message}</p>}
      {state === "done" && (
        <div className="actions">
          {!own && url !== undefined && (
            <a className="button" href={url} download={file.name}>
              Save<span className="hidden"> {file.name}</span>
            </a>
          )}
          {blob !== undefined && <Checksum blob={blob} />}
        </div>
      )}
    </div>
  );
}

// Who comes back has a new id.
function isSender(file: FileItem["file"], id: string, name: string): boolean {
  return id === file.senderId || name === file.senderName;
}

function delivered({ deliveredTo }: FileItem, { clients }: Session): string {
  const names = deliveredTo.flatMap((id) => clients.filter((client) => client.id === id).map(({ name }) => name));
  return names.length === 0 ? "Sent." : `Received by ${new Intl.ListFormat("en").format(names)}.`;
}

/** Checksum shows the SHA-256 of a file on request: two who compare it know that they have the same. */
function Checksum({ blob }: { blob: Blob }) {
  const [sum, setSum] = useState<string>();
  const show = () => {
    setSum("…");
    sha256(blob).then(setSum, () => setSum("The file cannot be read any more."));
  };
  if (sum === undefined)
    return (
      <button type="button" className="quiet" onClick={show}>
        Checksum
      </button>
    );
  return (
    <p className="soft">
      SHA-256 <code className="sum">{sum}</code>
    </p>
  );
}

/** useURL makes a blob available as an address, of this type and no other, for as long as it is needed. */
function useURL(blob: Blob | undefined, type: string): string | undefined {
  const [url, setURL] = useState<string>();
  useEffect(() => {
    if (blob === undefined) return;
    const made = URL.createObjectURL(blob.slice(0, blob.size, type));
    setURL(made);
    return () => {
      URL.revokeObjectURL(made);
      setURL(undefined);
    };
  }, [blob, type]);
  return url;
}
