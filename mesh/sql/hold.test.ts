import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import type { ConnectError } from "@connectrpc/connect";
import { systemClock } from "../clock.ts";
import { hasReason, retryAfterMs } from "../errors.ts";
import { createHold } from "./hold.ts";
import { fakeMonitor } from "./testing.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const [A, B] = ["a:1", "b:1"];

function holdOf(max = 3) {
  const monitor = fakeMonitor([A, B]);
  const hold = createHold({ monitor, max, clock: systemClock });
  return { monitor, hold, enter: (ms = 15_000) => hold.enter(Date.now() + ms) };
}

describe("hold", () => {
  test("gives the primary at once while there is one", async () => {
    expect(await holdOf().enter()).toEqual({ writer: A, hasWaited: false });
  });

  test("keeps those who come while there is none, and lets them go in order", async () => {
    const { monitor, hold, enter } = holdOf();
    monitor.set({ writer: undefined });
    const order: number[] = [];
    const waiting = [0, 1, 2].map((i) =>
      enter().then((turn) => {
        order.push(i);
        return turn;
      }),
    );
    expect(hold.length).toBe(3);
    monitor.set({ writer: B });
    expect(await Promise.all(waiting)).toEqual([1, 2, 3].map(() => ({ writer: B, hasWaited: true })));
    expect(order).toEqual([0, 1, 2]);
    expect(hold.length).toBe(0);
  });

  test("refuses when the time is up, with who said what and when to come back", async () => {
    const { monitor, enter } = holdOf();
    monitor.set({ writer: undefined });
    const refused = enter(2000).catch((error: unknown) => error as ConnectError);
    await vi.advanceTimersByTimeAsync(2000);
    const error = (await refused) as ConnectError;
    expect(hasReason(error, Reason.NO_PRIMARY)).toBe(true);
    expect(error.rawMessage).toBe(
      "the MySQL group has had no primary for 2.0 s: a:1: ONLINE primary; b:1: ONLINE secondary",
    );
    expect(retryAfterMs(error)).toBe(1000);
  });

  test("refuses at once when the queue is full", async () => {
    const { monitor, enter } = holdOf(1);
    monitor.set({ writer: undefined });
    const first = enter();
    expect(hasReason(await enter().catch((error: unknown) => error), Reason.HOLD_QUEUE_FULL)).toBe(true);
    monitor.set({ writer: A });
    await first;
  });

  test("tells how long the first has waited", async () => {
    const { monitor, hold, enter } = holdOf();
    expect(hold.oldestMs()).toBe(0);
    monitor.set({ writer: undefined });
    const first = enter();
    await vi.advanceTimersByTimeAsync(700);
    const second = enter();
    await vi.advanceTimersByTimeAsync(300);
    expect(hold.oldestMs()).toBe(1000);
    monitor.set({ writer: A });
    await Promise.all([first, second]);
  });

  test("does not wait for members that all refuse the account, neither before nor while waiting", async () => {
    const { monitor, enter } = holdOf();
    monitor.set({ writer: undefined });
    const waiting = enter().catch((error: unknown) => error);
    monitor.set({ writer: undefined, refusal: "a:1: Access denied" });
    expect(hasReason(await waiting, Reason.DATABASE_REFUSED)).toBe(true);
    expect(hasReason(await enter().catch((error: unknown) => error), Reason.DATABASE_REFUSED)).toBe(true);
  });

  test("refuses everybody when it is closed", async () => {
    const { monitor, hold, enter } = holdOf();
    monitor.set({ writer: undefined });
    const waiting = enter().catch((error: unknown) => error);
    hold.close();
    expect(hasReason(await waiting, Reason.NO_PRIMARY)).toBe(true);
  });
});
