import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  countIntervals,
  formatGtidSet,
  isSubset,
  parseGtidSet,
  simplified,
  unionOf,
  type GtidSet,
} from "./gtid.ts";

const A = "3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01";
const B = "00000000-5a53-4c6e-9f6d-0b7f6d9f1a01";

const sets = fc
  .array(
    fc.tuple(
      fc.constantFrom(A, B, `${A}:tag`),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 5 }),
    ),
  )
  .map((parts) =>
    parseGtidSet(parts.map(([source, first, more]) => `${source}:${first}-${first + more}`).join(",")),
  );

const numbers = (set: GtidSet) =>
  new Set(
    [...set].flatMap(([source, intervals]) =>
      intervals.flatMap(([first, last]) =>
        Array.from({ length: Number(last - first) + 1 }, (_, i) => `${source}:${Number(first) + i}`),
      ),
    ),
  );

describe("parseGtidSet", () => {
  test.each([
    ["", ""],
    [`${A}:1`, `${A}:1`],
    [`${A.toUpperCase()}:1-3`, `${A}:1-3`],
    [`${A}:5:1-3:4`, `${A}:1-5`],
    [`${A}:1-3:9,\n ${B}:7`, `${A}:1-3:9,${B}:7`],
    [`${A}:1:tag:2-3`, `${A}:1,${A}:tag:2-3`],
    [`${A}:1,${A}:2`, `${A}:1-2`],
  ])("reads %j as %j", (text, expected) => {
    expect(formatGtidSet(parseGtidSet(text))).toBe(expected);
  });

  test.each([
    "x",
    `${A}:0`,
    `${A}:3-1`,
    `${A}:1-`,
    `${A}:-1`,
    `${A}:1;2`,
    `${A}:9223372036854775807`,
    `${A}:1'`,
  ])("refuses %j", (text) => expect(() => parseGtidSet(text)).toThrow(TypeError));
});

describe("unionOf", () => {
  test("holds what is in either set, and nothing else", () => {
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        expect(numbers(unionOf(a, b))).toEqual(new Set([...numbers(a), ...numbers(b)]));
      }),
    );
  });
});

describe("isSubset", () => {
  test("agrees with the numbers", () => {
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        expect(isSubset(a, b)).toBe([...numbers(a)].every((each) => numbers(b).has(each)));
        expect(isSubset(a, unionOf(a, b))).toBe(true);
      }),
    );
  });
});

describe("simplified", () => {
  test("never loses a transaction, and has as few intervals as asked for", () => {
    fc.assert(
      fc.property(sets, fc.integer({ min: 1, max: 6 }), (set, max) => {
        const result = simplified(set, max);
        expect(isSubset(set, result)).toBe(true);
        expect(countIntervals(result)).toBeLessThanOrEqual(Math.max(max, set.size));
      }),
    );
  });

  test("fills the narrowest gap, never the one between two primaries' blocks", () => {
    const set = parseGtidSet(`${A}:1-3:5:9:1000001-1000004`);
    expect(formatGtidSet(simplified(set, 3))).toBe(`${A}:1-5:9:1000001-1000004`);
    expect(formatGtidSet(simplified(set, 2))).toBe(`${A}:1-9:1000001-1000004`);
  });
});
