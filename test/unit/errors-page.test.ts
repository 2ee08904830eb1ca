import { globSync, readFileSync } from "node:fs";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ReasonSchema } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { codeName } from "../../mesh/observe/metrics.ts";

/** The table of docs/errors.md: the codes of each reason. */
function page(): Map<string, readonly string[]> {
  const row = /^\| `([A-Z_]+)`\s*\|([^|]+)\|([^|]+)\|([^|]+)\|$/gm;
  const rows = readFileSync("docs/errors.md", "utf8").matchAll(row);
  return new Map([...rows].map(([, reason = "", codes = ""]) => [reason, codes.match(/[A-Z_]+/g) ?? []]));
}

/** Where the sources make an error: reason and code. */
function* thrown(): Iterable<{ file: string; code: string; reason: string }> {
  const folders = ["mesh", "gateway", "cache", "services", "workflows"];
  for (const file of globSync(folders.map((folder) => `${folder}/**/*.ts`))) {
    if (file.endsWith(".test.ts") || file.includes("node_modules")) continue;
    const calls = readFileSync(file, "utf8").matchAll(/rpcError\(\s*Code\.(\w+),\s*Reason\.(\w+)/g);
    for (const [, code = "", reason = ""] of calls) {
      yield { file, code: codeName(Code[code as keyof typeof Code]), reason };
    }
  }
}

const reasons = ReasonSchema.values.filter(({ number }) => number !== 0).map(({ localName }) => localName);

test("docs/errors.md explains every reason, in order, and no other", () => {
  expect([...page().keys()]).toEqual(reasons);
});

test("docs/errors.md names codes that exist", () => {
  const codes = new Set(
    Object.values(Code)
      .filter((code) => typeof code === "number")
      .map(codeName),
  );
  for (const [reason, named] of page()) {
    expect(named, reason).not.toHaveLength(0);
    for (const code of named) expect(codes, reason).toContain(code);
  }
});

test("the code uses each reason with a code that docs/errors.md names", () => {
  const table = page();
  const wrong = [...thrown()].filter(({ code, reason }) => !table.get(reason)?.includes(code));
  expect(wrong).toEqual([]);
});
