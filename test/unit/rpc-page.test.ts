import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";

test("the example of docs/rpc.md runs", async () => {
  const [, example = ""] = /```ts\n(.*?)```/s.exec(readFileSync("docs/rpc.md", "utf8")) ?? [];
  const folder = mkdtempSync(join("docs", ".example-"));
  try {
    // One folder deeper than the page.
    const file = join(folder, "example.ts");
    writeFileSync(file, example.replaceAll('"../', '"../../'));
    const { href } = pathToFileURL(file);
    const { text } = (await import(href)) as { text: string };
    expect(text).toBe("hello!");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
