import { describe, expect, test } from "vitest";
import { hash53, xxh32 } from "./hash.ts";

describe("xxh32", () => {
  // From the reference implementation: `xxhsum -H0`.
  test.each([
    ["", 0, 0x02cc5d05],
    ["a", 0, 0x550d7456],
    ["abc", 0, 0x32d153ff],
    ["Nobody inspects the spammish repetition", 0, 0xe2293b2f],
  ])("gives the reference value for %j", (text, seed, expected) => {
    expect(xxh32(Buffer.from(text), seed)).toBe(expected);
  });

  test("hashes a part of a buffer as if it stood alone", () => {
    const whole = Buffer.from("--a key that is longer than sixteen bytes--");
    expect(xxh32(whole, 0, 2, whole.length - 2)).toBe(xxh32(whole.subarray(2, -2)));
  });
});

describe("hash53", () => {
  test("fits a double exactly and tells names apart", () => {
    const hashes = Array.from({ length: 10_000 }, (_, index) => hash53(`tag-${index}`));
    expect(hashes.every(Number.isSafeInteger)).toBe(true);
    expect(new Set(hashes).size).toBe(10_000);
  });
});
