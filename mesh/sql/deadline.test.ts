import { createContextValues } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../clock.ts";
import { runInCall, type ServedCall } from "../rpc/context.ts";
import { deadlineIn } from "./deadline.ts";
import { createHold } from "./hold.ts";
import { fakeMonitor } from "./testing.ts";

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

/** A call being served that must be over in `ms`. */
function callOver(ms: number, signal = new AbortController().signal): ServedCall {
  return { deadline: Date.now() + ms, signal, values: createContextValues() } as ServedCall;
}

describe("deadlineIn", () => {
  test("is what it is given outside of any call", () => {
    expect(deadlineIn(15_000, systemClock).until).toBe(1_015_000);
  });

  test("is never later than the deadline of the call being served", () => {
    runInCall(callOver(2000), () => {
      const deadline = deadlineIn(15_000, systemClock);
      expect(deadline.until).toBe(1_002_000);
      expect(deadline.atMost(3000)).toBe(2000);
      vi.advanceTimersByTime(2000);
      expect(deadline.isOver()).toBe(true);
      expect(deadline.atMost(3000)).toBe(1);
    });
  });
});

describe("a hold", () => {
  test("ends when the caller goes away", async () => {
    const monitor = fakeMonitor(["a:1"]);
    monitor.set({ writer: undefined });
    const hold = createHold({ monitor, max: 10, clock: systemClock });
    const caller = new AbortController();
    const waiting = runInCall(callOver(60_000, caller.signal), () =>
      hold.enter(deadlineIn(15_000, systemClock).until).catch((error: unknown) => error),
    );
    expect(hold.length).toBe(1);
    const gone = new Error("the caller has gone");
    caller.abort(gone);
    expect(await waiting).toBe(gone);
    expect(hold.length).toBe(0);
  });
});
