import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { createTestClock } from "../clock.fixture.ts";
import { createInvalidator, hadNoEffect } from "./invalidator.ts";

/** An invalidator on a tier that answers as `answers` says, and applies everything once that is used up. */
function make(answers: boolean[] = [], hasNodes = true) {
  const clock = createTestClock();
  const told: { tags: readonly string[]; soft: boolean }[] = [];
  const cache = {
    invalidateTags(tags: readonly string[], { soft = false } = {}) {
      told.push({ tags, soft });
      return Promise.resolve(answers.shift() ?? true);
    },
  };
  const invalidator = createInvalidator({ cache, clock, hasNodes: () => hasNodes });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, told, invalidator, settle };
}

describe("an invalidator", () => {
  test("tells the tier once and trusts it", async () => {
    const { invalidator, told } = make();
    const running = invalidator.invalidate(["a"]);
    expect(invalidator.doubtedSince(["a"])).toBe(1_000_000);
    expect(await running).toBe("applied");
    expect(invalidator.doubtedSince(["a"])).toBeUndefined();
    expect(told).toEqual([{ tags: ["a"], soft: false }]);
  });

  test("does nothing without nodes", async () => {
    const { invalidator, told } = make([], false);
    expect([await invalidator.invalidate(["a"]), told]).toEqual(["no_nodes", []]);
  });

  test("doubts what could not be told, and tells it again until it is known", async () => {
    const { invalidator, told, clock, settle } = make([false, false]);
    expect(await invalidator.invalidate(["a", "b"], { soft: true })).toBe("pending");
    clock.advance(100);
    expect(["a", "b", "c"].map((tag) => invalidator.doubtedSince([tag]))).toEqual([
      1_000_000,
      1_000_000,
      undefined,
    ]);
    clock.advance(400);
    await settle();
    expect([told.length, invalidator.doubtedSince(["a"])]).toEqual([2, 1_000_000]);
    clock.advance(1000);
    await settle();
    expect([told.length, told.at(-1), invalidator.doubtedSince(["a"])]).toEqual([
      3,
      { tags: ["a", "b"], soft: true },
      undefined,
    ]);
    clock.advance(100_000);
    expect(told).toHaveLength(3);
  });

  test("tells twice of a write that may still happen", async () => {
    const { invalidator, told, clock, settle } = make();
    expect(await invalidator.invalidate(["a"], { isUnsure: true })).toBe("applied");
    clock.advance(9999);
    expect(told).toHaveLength(1);
    clock.advance(1);
    await settle();
    expect([told.length, invalidator.doubtedSince(["a"])]).toEqual([2, undefined]);
  });

  test("knows the latest of several writes", async () => {
    const { invalidator, clock, settle } = make([false, false]);
    await invalidator.invalidate(["a"]);
    clock.advance(10);
    await invalidator.invalidate(["a"]);
    clock.advance(490);
    await settle();
    expect(invalidator.doubtedSince(["x", "a"])).toBe(1_000_010);
    clock.advance(10);
    await settle();
    expect(invalidator.doubtedSince(["a"])).toBeUndefined();
  });

  test("splits what is too much for one operation", async () => {
    const { invalidator, told } = make();
    await invalidator.invalidate(Array.from({ length: 1001 }, (_, index) => `t${index}`));
    expect(told.map(({ tags }) => tags.length)).toEqual([500, 500, 1]);
  });

  test("gives up after five minutes, and at once when it is closed", async () => {
    const { invalidator, told, clock, settle } = make(Array.from({ length: 1000 }, () => false));
    await invalidator.invalidate(["a"]);
    for (let times = 0; times < 100; times++) {
      clock.advance(5000);
      await settle();
    }
    expect(invalidator.doubtedSince(["a"])).toBeUndefined();
    await invalidator.invalidate(["a"]);
    invalidator.close();
    const before = told.length;
    clock.advance(5000);
    expect(told).toHaveLength(before);
  });
});

test.each([
  [Code.NotFound, true],
  [Code.InvalidArgument, true],
  [Code.FailedPrecondition, true],
  // Errors of this kind may come after the change was made.
  [Code.Unknown, false],
  [Code.DeadlineExceeded, false],
  [Code.Canceled, false],
  [Code.Unavailable, false],
  [Code.Aborted, false],
  [Code.ResourceExhausted, false],
])("a write that fails with code %i had no effect: %j", (code, expected) => {
  expect(hadNoEffect(new ConnectError("", code))).toBe(expected);
  expect(hadNoEffect(new Error("x"))).toBe(false);
});
