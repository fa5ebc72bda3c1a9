import type { Session } from "@caddy-socketio/client/react";
import { useEffect, useRef, useState } from "react";

/** News tells those who do not see the page what has changed: who came and went, and what has arrived. */
export function News({ session }: { session: Session }) {
  const { clients, items, ownId } = session;
  const [news, setNews] = useState("");
  const before = useRef({ clients, items });
  useEffect(() => {
    const { clients: oldClients, items: oldItems } = before.current;
    before.current = { clients, items };
    const said: string[] = [];
    // Names, because those who come back have new ids.
    const [old, now] = [oldClients, clients].map((list) => new Set(list.map(({ name }) => name)));
    if (oldClients.length > 0 && clients.length > 0) {
      for (const client of clients)
        if (!old!.has(client.name) && client.id !== ownId) said.push(`${client.name} has joined.`);
      for (const name of old!) if (!now!.has(name)) said.push(`${name} has left.`);
    }
    if (oldItems !== items) {
      const known = new Map(oldItems.map((item) => [item.id, item.state]));
      for (const item of items) {
        if (known.get(item.id) === item.state || item.own) continue;
        if (item.kind === "content" && typeof item.data === "string")
          said.push(`${item.content.senderName}: ${item.data.slice(0, 200)}`);
        if (item.kind === "file" && item.state === "moving")
          said.push(`${item.file.senderName} shares ${item.file.name}.`);
        if (item.kind === "file" && item.state === "done") said.push(`${item.file.name} has arrived.`);
        if (item.kind === "file" && item.state === "failed") said.push(`${item.file.name} has not arrived.`);
      }
    }
    if (said.length > 0) setNews(said.join(" "));
  }, [clients, items, ownId]);
  return (
    <p className="hidden" role="log" aria-live="polite" id="news">
      {news}
    </p>
  );
}
