import { describe, expect, test } from "vitest";
import { createTestClock } from "../mesh/clock.fixture.ts";
import { createLeases, LEASE_MS, shouldRefresh } from "./leases.ts";

const key = Buffer.from("n:k");

describe("createLeases", () => {
  test("gives a key to one caller at a time", () => {
    const leases = createLeases(createTestClock());
    expect(leases.grant(key, 0, 1)?.token).toBe(1);
    expect(leases.grant(key, 0, 2)).toBeUndefined();
    leases.end(key);
    expect(leases.grant(key, 0, 3)?.token).toBe(3);
    expect(leases.find(key, 1)).toBeUndefined();
  });

  test("takes a lease back from a loader that takes too long, and wakes who waits", () => {
    const clock = createTestClock();
    const leases = createLeases(clock);
    leases.grant(key, 0, 1);
    let woken = 0;
    expect(leases.park(key, LEASE_MS * 2, () => woken++)).toBe(true);
    clock.advance(LEASE_MS);
    expect(woken).toBe(1);
    expect(leases.isHeld(key)).toBe(false);
  });

  test("wakes a caller after the time that it wants to wait, and only once", () => {
    const clock = createTestClock();
    const leases = createLeases(clock);
    leases.grant(key, 0, 1);
    let woken = 0;
    leases.park(key, 100, () => woken++);
    clock.advance(100);
    leases.end(key);
    expect(woken).toBe(1);
  });

  test("lets nobody wait for a key without a lease", () => {
    expect(createLeases(createTestClock()).park(key, 100, () => {})).toBe(false);
  });
});

describe("shouldRefresh", () => {
  test("refreshes rarely long before the end, nearly always just before it, and never without a known load time", () => {
    const share = (leftMs: number, loadMs: number) =>
      Array.from({ length: 1000 }, (_, index) => shouldRefresh(leftMs, loadMs, () => index / 1000)).filter(
        Boolean,
      ).length;
    expect(share(10_000, 500)).toBe(0);
    expect(share(500, 500)).toBeGreaterThan(300);
    expect(share(5, 500)).toBeGreaterThan(980);
    expect(share(5, 0)).toBe(0);
  });
});
