import { describe, expect, test } from "vitest";
import { createScreen, table } from "./screen.ts";

function written(isTTY: boolean) {
  const writes: string[] = [];
  return { writes, screen: createScreen({ isTTY, columns: 26, write: (text) => writes.push(text) }) };
}

describe("createScreen", () => {
  test("writes plain lines where there is no terminal, one for each stage", () => {
    const { writes, screen } = written(false);
    screen.progress("mysql", "downloading, 0 of 48 MB");
    screen.progress("mysql", "downloading, 20 of 48 MB");
    screen.progress("redis", "unpacking 12 packages");
    screen.done("mysql", "ready after 3.8 s");
    expect(writes).toEqual([
      "mysql: downloading, 0 of 48 MB\n",
      "redis: unpacking 12 packages\n",
      "mysql: ready after 3.8 s\n",
    ]);
  });

  test("keeps one live line on a terminal, cut to its width, below the lines that stay", () => {
    const { writes, screen } = written(true);
    screen.progress("mysql", "downloading, 0 of 48 MB");
    screen.progress("redis", "starting");
    writes.length = 0;
    screen.done("redis", "ready");
    expect(writes.join("")).toBe("\r\x1b[2K\x1b[32m✓\x1b[0m redis ready\n\r\x1b[2Kmysql downloading, 0 of 4");
  });
});

test("table makes columns as wide as their widest cell", () => {
  expect(
    table([
      ["process", "pid"],
      ["a", "1"],
      ["gateway-1", "23"],
    ]),
  ).toBe("process    pid\na          1\ngateway-1  23");
});
