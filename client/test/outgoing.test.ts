import { describe, expect, it } from "vitest";
import { CHUNK_SIZE, generateKey, importKey } from "../src/index.js";
import { describeFile, readFileInfo } from "../src/file.js";
import { OutgoingFile } from "../src/outgoing.js";
import type { Request } from "../src/signal.js";
import type { Chunk } from "../src/wire.js";
import { noise, until } from "./helpers.js";

async function sender(chunks: number) {
  const key = await importKey(generateKey());
  const file = new Blob([noise(chunks * CHUNK_SIZE)]);
  const content = describeFile(file, { contentId: "1", senderId: "ada", senderName: "Ada" }, "file");
  const info = readFileInfo(content)!;
  const sent: number[] = [];
  const link = {
    sessionId: "s",
    ready: () => Promise.resolve(),
    joined: () => true,
    others: () => [{ id: "bob", name: "Bob" }],
    send: (chunk: Chunk) => {
      sent.push(chunk.chunkIndex);
      return Promise.resolve({ success: true });
    },
    signal: () => undefined,
    progress: () => undefined,
  };
  const outgoing = new OutgoingFile(content, info, file, key, link, undefined);
  const ask = (first: number, last: number): Request => ({
    type: "request",
    contentId: "1",
    last: -1,
    urgent: true,
    ranges: [[first, last]],
  });
  return { outgoing, sent, ask };
}

describe("a file that was sent", () => {
  it("is sent again to who asks the moment after that", async () => {
    for (let moment = 0; moment < 20; moment++) {
      const { outgoing, sent, ask } = await sender(1);
      await outgoing.send();
      for (let i = 0; i < moment; i++) await Promise.resolve();
      outgoing.request("bob", ask(0, 0));
      await until(() => sent.length === 2, `it is sent again after ${moment} turns`);
    }
  });

  it("is sent again to one receiver only so often", async () => {
    const { outgoing, sent, ask } = await sender(20);
    await outgoing.send();
    const most = 20 + 4 * 20 + 64;
    for (let i = 0; i < 20; i++) {
      const before = sent.length;
      outgoing.request("eve", ask(0, 19));
      await until(() => sent.length === Math.min(before + 20, most), "what may be sent is sent");
    }
    expect(sent).toHaveLength(most);
    // That is no one else's loss.
    outgoing.request("bob", ask(0, 19));
    await until(() => sent.length === most + 20, "it is sent to another");
  });
});
