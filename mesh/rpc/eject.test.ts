import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createEjector, type Ejector, type Verdict } from "./eject.ts";

function fail(ejector: Ejector, times: number, nowMs: number): boolean[] {
  return Array.from({ length: times }, () => ejector.begin(nowMs)("failure", nowMs));
}

const plain = { random: () => 0 };

describe("createEjector", () => {
  test("ejects at the fifth failure in a row, and says so once", () => {
    const ejector = createEjector(plain);
    expect(fail(ejector, 5, 0)).toEqual([false, false, false, false, true]);
    expect(ejector.admits(0)).toBe(false);
  });

  test("begins to count anew after a success", () => {
    const ejector = createEjector(plain);
    fail(ejector, 4, 0);
    ejector.begin(0)("success", 0);
    fail(ejector, 4, 0);
    expect(ejector.admits(0)).toBe(true);
  });

  test("does not count calls that were given up", () => {
    const ejector = createEjector(plain);
    fail(ejector, 4, 0);
    ejector.begin(0)("neutral", 0);
    expect(ejector.admits(0)).toBe(true);
    expect(fail(ejector, 1, 0)).toEqual([true]);
  });

  test("lets a single probe through once the penalty is over", () => {
    const ejector = createEjector(plain);
    fail(ejector, 5, 0);
    expect(ejector.admits(999)).toBe(false);
    expect(ejector.admits(1000)).toBe(true);
    const probe = ejector.begin(1000);
    expect(ejector.admits(1000)).toBe(false);
    probe("success", 1100);
    expect(ejector.admits(1100)).toBe(true);
  });

  test("doubles the penalty with every failed probe, up to a minute, and forgets it after a success", () => {
    const ejector = createEjector(plain);
    fail(ejector, 5, 0);
    let now = 0;
    const penalties = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000];
    for (const penalty of penalties) {
      expect(ejector.admits(now + penalty - 1)).toBe(false);
      now += penalty;
      ejector.begin(now)("failure", now);
    }
    now += 60_000;
    ejector.begin(now)("success", now);
    fail(ejector, 5, now);
    expect(ejector.admits(now + 1000)).toBe(true);
  });

  test("adds up to half to the penalty", () => {
    const ejector = createEjector({ random: () => 0.999 });
    fail(ejector, 5, 0);
    expect(ejector.admits(1499)).toBe(false);
    expect(ejector.admits(1500)).toBe(true);
  });

  test("ignores failures of calls that were sent before the ejection or in spite of it", () => {
    const ejector = createEjector(plain);
    const early = Array.from({ length: 9 }, () => ejector.begin(0));
    expect(early.filter((end) => end("failure", 10))).toHaveLength(1);
    fail(ejector, 20, 20);
    expect(ejector.admits(1010)).toBe(true);
  });

  test("frees the probe's place when the probe was given up", () => {
    const ejector = createEjector(plain);
    fail(ejector, 5, 0);
    ejector.begin(1000)("neutral", 1001);
    expect(ejector.admits(1001)).toBe(true);
  });

  test("always comes back in the end, whatever happened before", () => {
    const verdict = fc.constantFrom<Verdict>("success", "failure", "neutral");
    fc.assert(
      fc.property(fc.array(fc.record({ verdict, waitMs: fc.nat(100_000) })), (events) => {
        const ejector = createEjector();
        let now = 0;
        for (const { verdict, waitMs } of events) {
          now += waitMs;
          ejector.begin(now)(verdict, now);
        }
        expect(ejector.admits(now + 90_001)).toBe(true);
      }),
    );
  });
});
