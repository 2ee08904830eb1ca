import { describe, expect, test } from "vitest";
import { runSaga, SagaMisuse, type Failure, type Saga, type SagaRuntime } from "./saga.ts";

class Rejected extends Error {}
class Cancelled extends Error {}

const OUT_OF_STOCK: Failure = { kind: "rejected", reason: "OUT_OF_STOCK", message: "no dough" };

/** A saga on paper: what was called, in order. */
function paper() {
  const calls: string[] = [];
  let shields = 0;
  const runtime: SagaRuntime = {
    sagaId: "saga/1",
    async shield(work) {
      shields += 1;
      try {
        return await work();
      } finally {
        shields -= 1;
      }
    },
    failureOf(error) {
      if (error instanceof Rejected) return OUT_OF_STOCK;
      if (error instanceof Cancelled)
        return { kind: "cancelled", reason: "CANCELLED", message: "by an operator" };
      return undefined;
    },
  };
  const act = (name: string, error?: Error) => ({
    name,
    invoke: async () => {
      calls.push(shields > 0 ? `(${name})` : name);
      if (error !== undefined) throw error;
    },
  });
  const undoable = (name: string, error?: Error) => ({
    ...act(name, error),
    compensate: async () => void calls.push(shields > 0 ? `(undo ${name})` : `undo ${name}`),
  });
  return {
    calls,
    runtime,
    act,
    undoable,
    run: (body: (saga: Saga) => Promise<void>) => runSaga(runtime, body),
  };
}

describe("runSaga", () => {
  test("runs the steps in order and undoes nothing when all succeed", async () => {
    const { run, act, undoable, calls } = paper();
    const failure = await run(async (saga) => {
      saga.begun(undoable("order"));
      await saga.check(act("verify"));
      await saga.step(undoable("reserve"));
      await saga.pivot(undoable("pay"));
      await saga.forward(act("approve"));
    });
    expect(failure).toBeUndefined();
    expect(calls).toEqual(["verify", "reserve", "(pay)", "(approve)"]);
  });

  test.each([
    ["verify", ["verify", "(undo order)"]],
    ["reserve", ["verify", "reserve", "(undo reserve)", "(undo order)"]],
    ["ticket", ["verify", "reserve", "ticket", "(undo ticket)", "(undo reserve)", "(undo order)"]],
    [
      "pay",
      [
        "verify",
        "reserve",
        "ticket",
        "(pay)",
        "(undo pay)",
        "(undo ticket)",
        "(undo reserve)",
        "(undo order)",
      ],
    ],
  ])(
    "undoes in reverse, shielded, the rejected step included, when %s is rejected",
    async (rejected, expected) => {
      const { run, act, undoable, calls } = paper();
      const no = (name: string) => (name === rejected ? new Rejected() : undefined);
      const failure = await run(async (saga) => {
        saga.begun(undoable("order"));
        await saga.check(act("verify", no("verify")));
        await saga.step(undoable("reserve", no("reserve")));
        await saga.step(undoable("ticket", no("ticket")));
        await saga.pivot(undoable("pay", no("pay")));
        await saga.forward(act("approve"));
      });
      expect(failure).toEqual(OUT_OF_STOCK);
      expect(calls).toEqual(expected);
    },
  );

  test("registers a compensation before the call: a step whose outcome is unknown is undone", async () => {
    const { run, undoable, calls } = paper();
    const running = run(async (saga) => {
      await saga.step(undoable("reserve", new Cancelled("stopped while the call ran")));
    });
    await expect(running).rejects.toThrow("stopped while the call ran");
    expect(calls).toEqual(["reserve", "(undo reserve)"]);
  });

  test("undoes a cancelled saga and reports it as cancelled, not as rejected", async () => {
    const { runtime } = paper();
    const reasons: string[] = [];
    const running = runSaga(runtime, async (saga) => {
      saga.begun({ name: "order", compensate: async (_, why) => void reasons.push(why.reason) });
      throw new Cancelled();
    });
    await expect(running).rejects.toThrow(Cancelled);
    expect(reasons).toEqual(["CANCELLED"]);
  });

  test("undoes nothing once the pivot is done", async () => {
    const { run, act, undoable, calls } = paper();
    const running = run(async (saga) => {
      await saga.step(undoable("reserve"));
      await saga.pivot(undoable("pay"));
      await saga.forward(act("approve", new Rejected()));
    });
    await expect(running).rejects.toThrow(Rejected);
    expect(calls).toEqual(["reserve", "(pay)", "(approve)"]);
  });

  test("undoes nothing for a bug in the saga, so that it can be fixed and go on", async () => {
    const { run, undoable, calls } = paper();
    const running = run(async (saga) => {
      await saga.step(undoable("reserve"));
      throw new TypeError("bug");
    });
    await expect(running).rejects.toThrow("bug");
    expect(calls).toEqual(["reserve"]);
  });

  test("does not swallow a compensation that fails", async () => {
    const { run } = paper();
    const running = run(async (saga) => {
      saga.begun({ name: "order", compensate: () => Promise.reject(new Error("cannot undo")) });
      throw new Rejected();
    });
    await expect(running).rejects.toThrow("cannot undo");
  });

  test("gives an action and its compensation the same branch", async () => {
    const { run } = paper();
    const branches: unknown[] = [];
    await run(async (saga) => {
      await saga.step({
        name: "reserve",
        invoke: async (branch) => {
          branches.push(branch);
          throw new Rejected();
        },
        compensate: async (branch) => void branches.push(branch),
      });
    });
    const branch = { sagaId: "saga/1", step: "reserve" };
    expect(branches).toEqual([branch, branch]);
  });

  test("resolves a step with what its call answered", async () => {
    const { run } = paper();
    await run(async (saga) => {
      expect(await saga.check({ name: "ask", invoke: async () => 42 })).toBe(42);
    });
  });
});

type Parts = ReturnType<typeof paper>;

describe("wrong use", () => {
  test.each<[string, RegExp, (saga: Saga, parts: Parts) => Promise<void>]>([
    [
      "a step after the pivot",
      /"b" must come before the pivot "a"/,
      async (saga, { act, undoable }) => {
        await saga.pivot(act("a"));
        await saga.step(undoable("b"));
      },
    ],
    [
      "a check after the pivot",
      /"b" must come before the pivot "a"/,
      async (saga, { act }) => {
        await saga.pivot(act("a"));
        await saga.check(act("b"));
      },
    ],
    [
      "a second pivot",
      /"b" must come before the pivot "a"/,
      async (saga, { act }) => {
        await saga.pivot(act("a"));
        await saga.pivot(act("b"));
      },
    ],
    [
      "a forward step before the pivot",
      /"a" must come after the pivot/,
      async (saga, { act }) => {
        await saga.forward(act("a"));
      },
    ],
    [
      "a step without compensation",
      /step "a" needs a compensation/,
      async (saga, { act }) => {
        await saga.step(act("a") as unknown as Parameters<Saga["step"]>[0]);
      },
    ],
    [
      "a name twice",
      /two steps are named "a"/,
      async (saga, { act }) => {
        await saga.check(act("a"));
        await saga.check(act("a"));
      },
    ],
    [
      "two steps at once",
      /"b" begins while "a" still runs/,
      async (saga, { act }) => {
        await Promise.all([saga.check(act("a")), saga.check(act("b"))]);
      },
    ],
    [
      "begun after a step",
      /"b" has begun before the saga: name it first/,
      async (saga, { act, undoable }) => {
        await saga.check(act("a"));
        saga.begun(undoable("b"));
      },
    ],
  ])("refuses %s", async (_, message, body) => {
    const parts = paper();
    const running = parts.run((saga) => body(saga, parts));
    await expect(running).rejects.toThrow(SagaMisuse);
    await expect(running).rejects.toThrow(message);
    expect(parts.calls.filter((call) => call.includes("undo"))).toEqual([]);
  });
});
