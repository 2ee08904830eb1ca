import { describe, expect, test } from "vitest";
import { createTagClocks } from "./tags.ts";

describe("createTagClocks", () => {
  test("invalidates what was written up to the clock of any of its tags", () => {
    const clocks = createTagClocks();
    clocks.apply({ tag: 1, version: 10, soft: false });
    expect(clocks.check([2, 1], 10)).toBe("invalid");
    expect(clocks.check([2, 1], 11)).toBe("valid");
    expect(clocks.check([2], 5)).toBe("valid");
    expect(clocks.check([], 5)).toBe("valid");
  });

  test("makes entries stale by a soft invalidation, unless a hard one covers them", () => {
    const clocks = createTagClocks();
    clocks.apply({ tag: 1, version: 10, soft: true });
    expect(clocks.check([1], 9)).toBe("stale");
    clocks.apply({ tag: 2, version: 10, soft: false });
    expect(clocks.check([1, 2], 9)).toBe("invalid");
  });

  test("does not let a later soft invalidation revive what a hard one ended", () => {
    const clocks = createTagClocks();
    clocks.apply({ tag: 1, version: 10, soft: false });
    clocks.apply({ tag: 1, version: 20, soft: true });
    expect(clocks.check([1], 9)).toBe("invalid");
  });

  test("ignores a clock that is older than the one it has", () => {
    const clocks = createTagClocks();
    clocks.apply({ tag: 1, version: 10, soft: false });
    clocks.apply({ tag: 1, version: 5, soft: false });
    expect(clocks.check([1], 9)).toBe("invalid");
  });

  test("loses no invalidation when there are too many: a floor takes the place of the oldest", () => {
    const clocks = createTagClocks(() => {}, 100);
    for (let tag = 1; tag <= 1000; tag++) clocks.apply({ tag, version: tag, soft: false });
    expect(clocks.all().length).toBeLessThanOrEqual(100);
    for (let tag = 1; tag <= 1000; tag++) expect(clocks.check([tag], tag)).toBe("invalid");
    expect(clocks.check([2000], clocks.floor)).toBe("invalid");
    expect(clocks.check([2000], 1001)).toBe("valid");
  });
});
