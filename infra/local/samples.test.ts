import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { sampleCalls } from "./samples.ts";

test("the README shows the calls that the launcher prints", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  for (const call of sampleCalls("localhost:8080", "ada")) expect(readme).toContain(`\n${call}\n`);
});
