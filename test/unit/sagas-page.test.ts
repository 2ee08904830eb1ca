import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";

const shop = readFileSync("docs/shop.md", "utf8");
const sagas = readFileSync("docs/sagas.md", "utf8");

function found(pattern: string, expression: RegExp): string[] {
  const texts = globSync(pattern).map((file) => readFileSync(file, "utf8"));
  return [
    ...new Set(texts.flatMap((text) => [...text.matchAll(expression)].map(([, name]) => name!))),
  ].sort();
}

function rows(page: string, expression: RegExp): string[][] {
  return [...page.matchAll(expression)].map((match) => match.slice(1).map((cell) => cell.trim()));
}

describe("docs/shop.md", () => {
  const listed = rows(shop, /^\| `([A-Z_]+)` +\|/gm).flat();
  const thrown = found("services/*/participant.ts", /rejection\(\s*"([A-Z_]+)"/g);
  const ofSagas = found("workflows/runtime.ts", /reason: "([A-Z_]+)"/g);

  test("lists every reason that an order may have, and no other", () => {
    expect(listed.toSorted()).toEqual([...thrown, ...ofSagas].sort());
  });

  test("agrees with what the contract of each participant says", () => {
    const contracts = globSync("proto/shop/*/v1/participant_service.proto").map((file) =>
      readFileSync(file, "utf8"),
    );
    const promised = contracts.flatMap((text) =>
      [...text.matchAll(/Rejections: ([A-Z_, ]+)\./g)].flatMap(([, reasons]) => reasons!.split(", ")),
    );
    expect([...new Set(promised)].sort()).toEqual(thrown);
  });
});

describe("docs/sagas.md", () => {
  test("has the steps of the create saga, in order and of the right kind", () => {
    const table = rows(sagas, /^\| `([a-z-]+)` +\| (begun|check|step|pivot|forward) +\|/gm);
    const code = readFileSync("workflows/create-order.ts", "utf8");
    const steps = [...code.matchAll(/(begun|check|step|pivot|forward)\(\{\s*name: "([a-z-]+)"/g)];
    expect(table).toEqual(steps.map(([, kind, name]) => [name, kind]));
  });

  test("has an example that runs", async () => {
    const [, example = ""] = /```ts\n(.*?)```/s.exec(sagas) ?? [];
    const folder = mkdtempSync(join("docs", ".example-"));
    try {
      // One folder deeper than the page.
      const file = join(folder, "example.ts");
      writeFileSync(file, example.replaceAll('"../', '"../../'));
      const { calls, rejection } = (await import(pathToFileURL(file).href)) as {
        calls: string[];
        rejection: { reason: string };
      };
      const [, reason, told] =
        /Here `rejection.reason` is `([A-Z_]+)`, and `calls` are (.*)\./.exec(sagas) ?? [];
      expect(rejection.reason).toBe(reason);
      expect(calls).toEqual(told?.split(", ").map((call) => call.replaceAll("`", "")));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
