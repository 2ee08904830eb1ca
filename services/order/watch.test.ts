import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { Database } from "../../mesh/sql/database.ts";
import type { StateName } from "./store.ts";
import { watchOrder } from "./watch.ts";

/** A database with one order, whose life is `states`. `next` is called when the watcher waits for more. */
function orderOf(states: StateName[], next: () => void = () => expect.unreachable("it waits")) {
  const query = async (sql: string, [, after = 0]: readonly number[] = []) => {
    if (!sql.includes("order_transitions")) {
      return states.length === 0
        ? []
        : [{ state: states.at(-1), sequence: states.length, lock_saga_id: null }];
    }
    return states
      .map((state, index) => ({ sequence: index + 1, state, reason: "", time_ms: 0 }))
      .filter(({ sequence }) => sequence > after);
  };
  const db = { read: (work: (q: unknown) => unknown) => work({ query }) } as unknown as Database;
  const changes = {
    async after(_: string, __: number, signal: AbortSignal) {
      next();
      signal.throwIfAborted();
    },
  };
  return { db, changes };
}

async function watched(
  { db, changes }: ReturnType<typeof orderOf>,
  afterSequence = 0,
  signal = neverAborted,
) {
  const seen: number[] = [];
  for await (const { transition } of watchOrder(db, changes, { orderId: "a", afterSequence }, signal)) {
    seen.push(transition.sequence);
  }
  return seen;
}

const neverAborted = new AbortController().signal;

describe("watchOrder", () => {
  test("sends what has been and ends at once if the order is final", async () => {
    expect(await watched(orderOf(["APPROVAL_PENDING", "REJECTED"]))).toEqual([1, 2]);
  });

  test("sends what comes, without gaps, until the order is final", async () => {
    const states: StateName[] = ["APPROVAL_PENDING"];
    const coming: StateName[] = ["APPROVED", "CANCEL_PENDING", "APPROVED", "CANCEL_PENDING", "CANCELLED"];
    const order = orderOf(states, () => void states.push(...coming.splice(0, 2)));
    expect(await watched(order)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("goes on after a sequence number, also the last one", async () => {
    expect(
      await watched(orderOf(["APPROVAL_PENDING", "APPROVED", "CANCEL_PENDING", "CANCELLED"]), 2),
    ).toEqual([3, 4]);
    expect(await watched(orderOf(["APPROVAL_PENDING", "REJECTED"]), 2)).toEqual([]);
    expect(await watched(orderOf(["APPROVAL_PENDING", "REJECTED"]), 9)).toEqual([]);
  });

  test("is NOT_FOUND for an order that does not exist", async () => {
    await expect(watched(orderOf([]))).rejects.toMatchObject({ code: Code.NotFound });
  });

  test("ends when the caller is gone", async () => {
    const caller = new AbortController();
    const order = orderOf(["APPROVAL_PENDING"], () => caller.abort(new Error("gone")));
    await expect(watched(order, 0, caller.signal)).rejects.toThrow("gone");
  });
});
