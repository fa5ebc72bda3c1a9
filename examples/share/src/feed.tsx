import type { ContentItem, FileItem, Session } from "@caddy-socketio/client/react";
import { useEffect, useRef } from "react";
import { FileCard } from "./filecard.js";
import { time } from "./format.js";

/** Feed lists what was shared, and stays at its end unless one has scrolled away. */
export function Feed({ session }: { session: Session }) {
  const { items } = session;
  const list = useRef<HTMLOListElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = list.current!;
    // Pictures make the list longer when they have loaded.
    const observer = new ResizeObserver(() => {
      if (atEnd.current) element.scrollTop = element.scrollHeight;
    });
    for (const child of element.children) observer.observe(child);
    return () => observer.disconnect();
  }, [items.length]);
  const scrolled = () => {
    const { scrollTop, clientHeight, scrollHeight } = list.current!;
    atEnd.current = scrollHeight - scrollTop - clientHeight < 60;
  };
  return (
    <ol className="feed" id="feed" ref={list} onScroll={scrolled} tabIndex={0} aria-label="What was shared">
      {items.length === 0 && (
        <li className="empty">Nothing was shared yet. Write something, or drop a file anywhere on this page.</li>
      )}
      {items.map((item) => (
        <li key={item.id} className={item.own ? "item own" : "item"} data-kind={item.kind} data-state={item.state}>
          <p className="by">
            <b>{item.own ? "You" : sender(item, session)}</b>{" "}
            <time>{time(item.kind === "file" ? item.file.timestamp : item.content.timestamp)}</time>
            {item.freshness === "again" && " · seen before"}
          </p>
          {item.kind === "file" ? <FileCard item={item} session={session} /> : <Text item={item} />}
        </li>
      ))}
    </ol>
  );
}

// The server knows who has sent it, and what a message says of itself is its sender's own account.
function sender(item: ContentItem | FileItem, { clients }: Session): string {
  const [id, said] =
    item.kind === "file" ? [item.file.senderId, item.file.senderName] : [item.clientId, item.content.senderName];
  return clients.find((client) => client.id === id)?.name || said || "Somebody";
}

function Text({ item }: { item: ContentItem }) {
  const text = typeof item.data === "string" ? item.data : `(${item.content.contentType})`;
  return (
    <>
      <p className="text">{text}</p>
      {item.state === "failed" && <p className="error">Not sent: {item.error?.message}</p>}
    </>
  );
}
