import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { loadBundle } from "./bundle.ts";

test("a bundle is built once for the same files", { timeout: 60_000 }, async () => {
  await loadBundle("");
  const again = await loadBundle("");
  expect(again).toEqual({ codePath: expect.stringMatching(/workflows-[0-9a-f]{16}\.js$/) });
  expect("codePath" in again && existsSync(again.codePath)).toBe(true);
});

test("a bundle that was built before is taken as it is", async () => {
  expect(await loadBundle("/somewhere/bundle.js")).toEqual({ codePath: "/somewhere/bundle.js" });
});
