import { describe, expect, test } from "vitest";
import { createProgress } from "./progress.ts";

function written(isTTY: boolean) {
  const writes: string[] = [];
  return { writes, report: createProgress({ isTTY, columns: 30, write: (text) => writes.push(text) }) };
}

describe("createProgress", () => {
  test("writes plain lines where there is no terminal, one for each stage", () => {
    const { writes, report } = written(false);
    report("mysql", "downloading, 0 of 48 MB");
    report("mysql", "downloading, 20 of 48 MB");
    report("redis", "unpacking 12 packages");
    report("mysql", "unpacking 44 packages");
    expect(writes).toEqual([
      "mysql: downloading, 0 of 48 MB\n",
      "redis: unpacking 12 packages\n",
      "mysql: unpacking 44 packages\n",
    ]);
  });

  test("draws one line for each tool over the last ones on a terminal, cut to its width", () => {
    const { writes, report } = written(true);
    report("mysql", "downloading, 0 of 48 MB");
    report("redis", "waiting");
    expect(writes).toEqual([
      "\x1b[2K  mysql     downloading, 0 of\n",
      "\x1b[1A\x1b[2K  mysql     downloading, 0 of\n\x1b[2K  redis     waiting\n",
    ]);
  });
});
