import { describe, expect, test } from "vitest";
import { seededRandom } from "../clock.ts";
import { chooseReader } from "./choose.ts";

const idle = () => 0;

describe("chooseReader", () => {
  test("takes the preferred member if it is fit", () => {
    expect(chooseReader(["a", "b", "c"], "b", idle, Math.random)).toBe("b");
  });

  test("spreads over all if the preferred member is not fit, or none is", () => {
    for (const preferred of ["gone", undefined]) {
      const random = seededRandom(7);
      const counts = new Map<string, number>();
      for (let i = 0; i < 3000; i++) {
        const chosen = chooseReader(["a", "b", "c"], preferred, idle, random)!;
        counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
      }
      for (const member of ["a", "b", "c"]) expect(counts.get(member)).toBeGreaterThan(800);
    }
  });

  test("takes the less loaded of two", () => {
    const load = (member: string) => (member === "a" ? 5 : 0);
    expect(chooseReader(["a", "b"], undefined, load, Math.random)).toBe("b");
  });

  test.each([
    [4, 0, "a"],
    [5, 0, "b"],
    [14, 5, "a"],
    [15, 5, "b"],
  ])("a preferred member with %i reads beside one with %i: %s", (preferred, other, expected) => {
    const load = (member: string) => (member === "a" ? preferred : other);
    expect(chooseReader(["a", "b"], "a", load, () => 0)).toBe(expected);
  });

  test("has nobody to choose where there is none", () => {
    expect(chooseReader([], "a", idle, Math.random)).toBeUndefined();
    expect(chooseReader(["a"], undefined, idle, Math.random)).toBe("a");
  });
});
