import { describe, expect, test } from "vitest";
import { createVersionClock, versionTimeMs } from "./version.ts";

const START = Date.UTC(2026, 10, 21);

describe("createVersionClock", () => {
  test("gives growing versions even if the wall clock goes back", () => {
    let now = START;
    const clock = createVersionClock({ now: () => now });
    const first = clock.next();
    now -= 10_000;
    expect(clock.next()).toBeGreaterThan(first);
  });

  test("stays exact in a double until 2089", () => {
    const clock = createVersionClock({ now: () => Date.UTC(2089, 0, 1) });
    expect(Number.isSafeInteger(clock.next())).toBe(true);
  });

  test("orders its versions after those that it heard of", () => {
    const slow = createVersionClock({ now: () => START });
    const fast = createVersionClock({ now: () => START + 400 });
    const heard = fast.next();
    expect(slow.hear(heard)).toBe(true);
    expect(slow.next()).toBeGreaterThan(heard);
  });

  test("refuses versions of a clock that runs more than half a second ahead", () => {
    const clock = createVersionClock({ now: () => START });
    expect(clock.hear(createVersionClock({ now: () => START + 501 }).next())).toBe(false);
    expect(versionTimeMs(clock.next())).toBe(START);
  });
});
