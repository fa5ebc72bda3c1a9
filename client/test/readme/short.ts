import { newLink, SocketService, writeLink } from "@caddy-socketio/client";

const { sessionId, key } = newLink();
location.hash = writeLink({ sessionId, key }); // the address to send to a friend

const service = new SocketService();
service.on("content", ({ content, data }) => {
  if (typeof data === "string") console.log(`${content.senderName}: ${data}`);
});
service.on("file-progress", ({ file, bytes, totalBytes }) => console.log(file.name, bytes / totalBytes));
service.on("file", ({ file, blob }) => console.log(file.name, URL.createObjectURL(blob)));

await service.joinSession(sessionId, "Ada", { key });
await service.shareContent(sessionId, { contentType: "text" }, "Hello");
const [file] = document.querySelector<HTMLInputElement>("input[type=file]")?.files ?? [];
if (file) await service.shareFile(sessionId, file, { onProgress: ({ bytes }) => console.log(bytes) });
