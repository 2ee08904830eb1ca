import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { startTestGroup } from "../../infra/mysql/testing.ts";

test("the example of docs/sql.md runs", async () => {
  const [, example = ""] = /```ts\n(.*?)```/s.exec(readFileSync("docs/sql.md", "utf8")) ?? [];
  const group = await startTestGroup({ members: 3 });
  const folder = mkdtempSync(join("docs", ".example-"));
  try {
    const file = join(folder, "example.ts");
    const here = example
      // One folder deeper than the page.
      .replaceAll('"../', '"../../')
      .replace("127.0.0.1:3311", group.seeds[0]!)
      .replace(".heddle/data/mysql/", `${group.folder}/`);
    writeFileSync(file, here);
    const { visits } = (await import(pathToFileURL(file).href)) as { visits: unknown };
    expect(visits).toEqual([{ n: 1 }]);
  } finally {
    rmSync(folder, { recursive: true });
    await group.stop();
  }
});

test("docs/sql.md names the metrics that there are", async () => {
  const page = readFileSync("docs/sql.md", "utf8").matchAll(/`(mesh_db_[a-z_]+)/g);
  const code = readFileSync("mesh/sql/metrics.ts", "utf8").matchAll(/"(mesh_db_[a-z_]+)"/g);
  const names = (matches: Iterable<RegExpMatchArray>) => new Set([...matches].map(([, name]) => name));
  expect(names(page)).toEqual(names(code));
});
