import { readdir, readFile } from "node:fs/promises";
import { expect, it } from "vitest";

const file = (path: string) => readFile(new URL(path, import.meta.url), "utf8");

it("has examples in the README whose types are checked", async () => {
  const readme = await file("../README.md");
  const shown = [...readme.matchAll(/^```tsx?\n(.*?)^```$/gms)].map((match) => match[1]);
  const checked = await Promise.all((await readdir(new URL("readme", import.meta.url))).map((name) => file(`readme/${name}`)));
  expect(shown.toSorted()).toEqual(checked.toSorted());
});
