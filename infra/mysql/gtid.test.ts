import { describe, expect, test } from "vitest";
import { isSubset, parseGtidSet, union } from "./gtid.ts";

const A = "3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01";
const B = "8e0f9d70-0000-4c6e-9f6d-0b7f6d9f1a02";

describe("isSubset", () => {
  test.each([
    ["", "", true],
    ["", `${A}:1-5`, true],
    [`${A}:1-5`, "", false],
    [`${A}:1-5`, `${A}:1-5`, true],
    [`${A}:2-3`, `${A}:1-5`, true],
    [`${A}:1-6`, `${A}:1-5`, false],
    [`${A}:1-5:1000001`, `${A}:1-5`, false],
    [`${A}:1-5:1000001-1000004`, `${A}:1-7:1000001-1000009`, true],
    [`${A}:1-6`, `${A}:1-3:4-6`, true],
    [`${A}:1-6`, `${A}:1-3:5-6`, false],
    [`${A}:1,\n${B}:1`, `${A}:1-2`, false],
    [`${A.toUpperCase()}:1`, `${A}:1`, true],
    [`${A}:tag:1`, `${A}:1-9`, false],
    [`${A}:1:tag:2`, `${A}:1-9:tag:1-3`, true],
  ])("%j in %j is %s", (part, whole, expected) => {
    expect(isSubset(parseGtidSet(part), parseGtidSet(whole))).toBe(expected);
  });
});

test("union holds both sets and no more", () => {
  const both = union(parseGtidSet(`${A}:1-1286`), parseGtidSet(`${A}:1200-1540,${B}:7`));
  expect(isSubset(parseGtidSet(`${A}:1-1540,${B}:7`), both)).toBe(true);
  expect(isSubset(both, parseGtidSet(`${A}:1-1540,${B}:7`))).toBe(true);
});

test.each(["x", `${A}:?`, "3f6a:1-2"])("parseGtidSet refuses %j", (text) => {
  expect(() => parseGtidSet(text)).toThrow(TypeError);
});
