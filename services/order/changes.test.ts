import { describe, expect, test } from "vitest";
import type { Clock } from "../../mesh/clock.ts";
import { createChanges } from "./changes.ts";

/** A clock whose one pending timer is run by hand. */
function handClock() {
  let pending: (() => void) | undefined;
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after(_, callback) {
      pending = callback;
      return () => {
        pending = undefined;
      };
    },
  };
  return {
    clock,
    isPolling: () => pending !== undefined,
    tick: async () => {
      const run = pending;
      pending = undefined;
      run?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function harness() {
  const queries: string[][] = [];
  const sequences = new Map<string, number>();
  const hand = handClock();
  let failing = false;
  const changes = createChanges({
    clock: hand.clock,
    async sequencesOf(orderIds) {
      queries.push([...orderIds]);
      if (failing) throw new Error("no primary");
      return new Map(sequences);
    },
  });
  const { signal } = new AbortController();
  const watch = (orderId: string, sequence: number, on = signal) => {
    const state = { woken: false };
    const done = changes.after(orderId, sequence, on).then(() => void (state.woken = true));
    return { state, done };
  };
  return { queries, sequences, changes, watch, ...hand, fail: (value: boolean) => void (failing = value) };
}

describe("createChanges", () => {
  test("wakes a watcher within one poll after another process changed the order", async () => {
    const { watch, sequences, tick } = harness();
    const { state } = watch("a", 1);
    await tick();
    expect(state.woken).toBe(false);
    sequences.set("a", 2);
    await tick();
    expect(state.woken).toBe(true);
  });

  test("wakes watchers of that order at once when this process changed it", async () => {
    const { watch, changes } = harness();
    const a = watch("a", 1);
    const b = watch("b", 1);
    changes.notify("a");
    await a.done;
    expect(b.state.woken).toBe(false);
  });

  test("asks once for all watchers, and not at all without any", async () => {
    const { watch, queries, sequences, tick, isPolling } = harness();
    expect(isPolling()).toBe(false);
    watch("a", 1);
    watch("a", 0);
    watch("b", 1);
    await tick();
    expect(queries).toEqual([["a", "b"]]);
    sequences.set("a", 9).set("b", 9);
    await tick();
    expect(isPolling()).toBe(false);
  });

  test("goes on after an error", async () => {
    const { watch, sequences, tick, fail } = harness();
    const { state } = watch("a", 1);
    sequences.set("a", 2);
    fail(true);
    await tick();
    expect(state.woken).toBe(false);
    fail(false);
    await tick();
    expect(state.woken).toBe(true);
  });

  test("ends with the signal, before and while it waits", async () => {
    const { changes, tick, isPolling } = harness();
    const controller = new AbortController();
    const waiting = changes.after("a", 1, controller.signal);
    controller.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    await expect(changes.after("a", 1, controller.signal)).rejects.toThrow("gone");
    await tick();
    expect(isPolling()).toBe(false);
  });
});
