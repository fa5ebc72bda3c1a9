import type { SessionLink } from "@caddy-socketio/client";
import { SocketProvider, useSession } from "@caddy-socketio/client/react";

function Room({ link, name }: { link: SessionLink; name: string }) {
  const { status, clients, items, shareText, shareFile } = useSession(link.sessionId, name, { key: link.key });
  return (
    <>
      <p>{status}: {clients.map((client) => client.name).join(", ")}</p>
      {items.map((item) => item.kind === "content"
        ? <p key={item.id}>{typeof item.data === "string" ? item.data : `${item.data?.byteLength ?? 0} bytes`}</p>
        : <p key={item.id}>{item.file.name} <progress max={item.file.size} value={item.bytes} /></p>)}
      <button onClick={() => shareText("Hello")}>Say hello</button>
      <input type="file" onChange={({ target }) => target.files?.[0] && shareFile(target.files[0])} />
    </>
  );
}

export function App({ link }: { link: SessionLink }) {
  return <SocketProvider><Room link={link} name="Ada" /></SocketProvider>;
}
