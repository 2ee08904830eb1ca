import { describe, expect, test } from "vitest";
import { compareVersions, newestFirst } from "./versions.ts";

describe("compareVersions", () => {
  test("follows the precedence of Semantic Versioning", () => {
    const ascending = [
      "1.0.0-alpha",
      "1.0.0-alpha.1",
      "1.0.0-alpha.beta",
      "1.0.0-beta",
      "1.0.0-beta.2",
      "1.0.0-beta.11",
      "1.0.0-rc.1",
      "1.0.0",
      "1.0.1",
      "v1.2.0",
      "1.10.0",
      "2.0.0",
    ];
    for (const [i, a] of ascending.entries()) {
      for (const [j, b] of ascending.entries())
        expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(i - j));
    }
  });

  test("ignores build metadata, and puts what is no version first", () => {
    expect(compareVersions("1.0.0+a", "1.0.0+b")).toBe(0);
    expect(compareVersions("", "0.0.1")).toBe(-1);
    expect(compareVersions("0.0.1", "main")).toBe(1);
    expect(compareVersions("", "main")).toBe(0);
  });
});

describe("newestFirst", () => {
  test("decides by version, then by start, then by digest", () => {
    const a = { version: "1.0.0", startedAtMs: 9, digest: "a" };
    const b = { version: "2.0.0", startedAtMs: 1, digest: "b" };
    const c = { version: "2.0.0", startedAtMs: 2, digest: "d" };
    const d = { version: "2.0.0", startedAtMs: 2, digest: "c" };
    expect([a, b, c, d].sort(newestFirst)).toEqual([d, c, b, a]);
    expect([d, c, b, a].sort(newestFirst)).toEqual([d, c, b, a]);
  });
});
