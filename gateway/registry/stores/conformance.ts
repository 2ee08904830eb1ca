/** What every store of the registry promises, as tests that each of them runs. */
import { setTimeout as sleep } from "node:timers/promises";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InstanceState, type Instance } from "../../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { idOf, instanceOf } from "../../../mesh/registry/testing.ts";
import type { Change, Command, Outcome, Store } from "../store.ts";

import { createMemoryStore } from "./memory.ts";

/** How to make the store under test. */
export interface StoreUnderTest {
  /** A new, empty store. Closed by the tests. */
  make(options: { readonly leaseMs: number; readonly logLength: number }): Promise<Store>;
  /** Lets time pass for the store. */
  pass(ms: number): Promise<void>;
}

const leaseMs = 1000;
const logLength = 100;
const signal = AbortSignal.timeout(600_000);

/** Declares the tests. */
export function describeStore(name: string, under: StoreUnderTest): void {
  describe(name, () => {
    let store: Store;
    beforeEach(async () => {
      store = await under.make({ leaseMs, logLength });
    });
    afterEach(() => store.close());

    const register = (instance: Instance) => store.write({ kind: "register", instance });
    const tell = (kind: "beat" | "suspect" | "deregister", n: number, incarnation = 0n) =>
      store.write({ kind, instanceId: idOf(n), incarnation });
    const instances = async () => (await store.snapshot()).instances;

    /** Reaps, as gateways do all the time, until `done`. */
    const reapUntil = async (done: () => Promise<boolean>) => {
      for (let rounds = 0; rounds < 400; rounds += 1) {
        await store.write({ kind: "reap" });
        if (await done()) return;
        await under.pass(leaseMs / 20);
      }
      throw new Error("it never happened");
    };

    test("begins empty, at revision 0", async () => {
      const { revision, instances } = await store.snapshot();
      expect(revision.number).toBe(0);
      expect(revision.epoch).not.toBe("");
      expect(instances).toEqual([]);
    });

    test("keeps every field of an instance", async () => {
      const instance = instanceOf(1, {
        incarnation: 9_007_199_254_740_991n,
        zone: 'zone ä "quoted" \\ 日本',
        weight: 7,
        services: ["test.v1.A", "test.v1.B"],
        descriptorDigest: "ab".repeat(32),
        state: InstanceState.STARTING,
        labels: { number: "1", empty: "" },
      });
      await register(instance);
      expect(await instances()).toEqual([instance]);
    });

    test("does not take what only the registry may say", async () => {
      await register(instanceOf(1, { suspect: true, problems: ["made up"] }));
      expect(await instances()).toEqual([instanceOf(1)]);
    });

    test("takes an instance that names no state as serving", async () => {
      await register(instanceOf(1, { state: InstanceState.UNSPECIFIED }));
      expect(await instances()).toEqual([instanceOf(1)]);
    });

    test("counts a revision for each visible change, and none for a repetition", async () => {
      expect((await register(instanceOf(1))).revision.number).toBe(1);
      expect((await register(instanceOf(1))).revision.number).toBe(1);
      expect((await tell("beat", 1)).revision.number).toBe(1);
      expect((await register(instanceOf(1, { state: InstanceState.DRAINING }))).revision.number).toBe(2);
      expect((await tell("deregister", 1)).revision.number).toBe(3);
      expect((await tell("deregister", 1)).revision.number).toBe(3);
    });

    test("says when an instance is unknown", async () => {
      expect((await tell("beat", 1)).outcome).toBe("unknown");
      expect((await tell("suspect", 1)).outcome).toBe("unknown");
      expect((await tell("deregister", 1)).outcome).toBe("unknown");
    });

    test("fences what an older incarnation says", async () => {
      await register(instanceOf(1, { incarnation: 5n }));
      const old = instanceOf(1, { incarnation: 4n, address: "127.0.0.1:1" });
      expect((await register(old)).outcome).toBe("stale");
      for (const kind of ["beat", "suspect", "deregister"] as const) {
        expect((await tell(kind, 1, 4n)).outcome).toBe("stale");
      }
      expect(await instances()).toEqual([instanceOf(1, { incarnation: 5n })]);
    });

    test("asks an incarnation that is younger than the known one to register", async () => {
      await register(instanceOf(1, { incarnation: 5n }));
      expect((await tell("beat", 1, 6n)).outcome).toBe("unknown");
      expect((await register(instanceOf(1, { incarnation: 6n }))).outcome).toBe("done");
      expect((await tell("beat", 1, 6n)).outcome).toBe("done");
    });

    test("marks a suspect until its next sign of life", async () => {
      await register(instanceOf(1));
      await tell("suspect", 1);
      expect(await instances()).toEqual([instanceOf(1, { suspect: true })]);
      await tell("beat", 1);
      expect(await instances()).toEqual([instanceOf(1)]);
      await tell("suspect", 1);
      await register(instanceOf(1));
      expect(await instances()).toEqual([instanceOf(1)]);
    });

    test("hands out the changes after a revision, in order", async () => {
      const { revision: before } = await store.snapshot();
      await register(instanceOf(1));
      await tell("suspect", 1);
      await tell("deregister", 1);
      const expected: Change[] = [
        { number: 1, kind: "upsert", instance: instanceOf(1) },
        { number: 2, kind: "upsert", instance: instanceOf(1, { suspect: true }) },
        { number: 3, kind: "remove", instanceId: idOf(1), deregistered: true },
      ];
      expect(await store.changes(before, signal)).toEqual(expected);
      expect(await store.changes({ ...before, number: 2 }, signal)).toEqual(expected.slice(2));
    });

    test("wakes those who wait for a change", async () => {
      const { revision } = await store.snapshot();
      const changes = store.changes(revision, signal);
      await register(instanceOf(1));
      expect(await changes).toEqual([{ number: 1, kind: "upsert", instance: instanceOf(1) }]);
    });

    test("stops waiting when told to", async () => {
      const { revision } = await store.snapshot();
      const stop = new AbortController();
      const changes = store.changes(revision, stop.signal).catch(() => []);
      stop.abort();
      expect(await changes).toEqual([]);
    });

    test("says when changes are no longer known", async () => {
      const { revision } = await store.snapshot();
      // Redis trims whole nodes of its stream only, of 100 entries each.
      for (let version = 0; version < logLength * 4; version += 1) {
        await register(instanceOf(1, { version: `${version}.0.0` }));
      }
      expect(await store.changes(revision, signal)).toBeUndefined();
      expect(await store.changes({ epoch: "of another store", number: 1 }, signal)).toBeUndefined();
    });

    test("removes an instance whose lease has ended, and no other", async () => {
      await register(instanceOf(1));
      await register(instanceOf(2));
      await reapUntil(async () => {
        await tell("beat", 2);
        return (await instances()).length < 2;
      });
      expect(await instances()).toEqual([instanceOf(2)]);
      const changes = await store.changes({ ...(await store.snapshot()).revision, number: 2 }, signal);
      expect(changes?.at(-1)).toEqual({
        number: 4,
        kind: "remove",
        instanceId: idOf(1),
        deregistered: false,
      });
      expect((await tell("beat", 1)).outcome).toBe("unknown");
    });

    test("marks an instance whose beat is overdue before its lease ends", async () => {
      await register(instanceOf(1));
      await reapUntil(async () => (await instances()).some(({ suspect }) => suspect));
      await tell("beat", 1);
      expect(await instances()).toEqual([instanceOf(1)]);
    });

    test("begins all leases anew after a time in which nobody reaped", async () => {
      await store.write({ kind: "reap" });
      await register(instanceOf(1));
      await under.pass(leaseMs * 1.5);
      await store.write({ kind: "reap" });
      expect(await instances()).toEqual([instanceOf(1)]);
    });

    test("ends each lease when it is over, the shorter ones that were asked for first", async () => {
      const patient = instanceOf(2, { leaseTtl: durationFromMs(60_000) });
      await register(instanceOf(1, { leaseTtl: durationFromMs(300) }));
      await register(patient);
      await register(instanceOf(3));
      const ids = async () => byId(await instances()).map(({ instanceId }) => instanceId);
      await reapUntil(async () => (await ids()).length < 3);
      expect(await ids()).toEqual([idOf(2), idOf(3)]);
      await reapUntil(async () => (await ids()).length < 2);
      expect(await instances()).toEqual([patient]);
    });

    test("renews a lease for as long as was asked for", async () => {
      await register(instanceOf(1, { leaseTtl: durationFromMs(300) }));
      await register(instanceOf(2));
      await tell("beat", 1);
      await reapUntil(async () => (await instances()).length < 2);
      expect(byId(await instances()).map(({ instanceId }) => instanceId)).toEqual([idOf(2)]);
    });

    test("agrees with the memory store over any history", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 60 }), async (commands) => {
          const tested = await under.make({ leaseMs: 60_000, logLength });
          const model = createMemoryStore({ leaseMs: 60_000, logLength });
          try {
            const from = (await tested.snapshot()).revision;
            const fromModel = (await model.snapshot()).revision;
            expect(await history(tested, commands)).toEqual(await history(model, commands));
            expect(byId((await tested.snapshot()).instances)).toEqual(
              byId((await model.snapshot()).instances),
            );
            if ((await model.snapshot()).revision.number > 0) {
              expect(await tested.changes(from, signal)).toEqual(await model.changes(fromModel, signal));
            }
          } finally {
            await tested.close();
          }
        }),
        { numRuns: 40 },
      );
    });
  });
}

/** A step of time for stores with a clock of their own. */
export const realTime = (ms: number): Promise<void> => sleep(ms);

const target = fc.record({ n: fc.integer({ min: 1, max: 3 }), incarnation: fc.bigInt({ min: 0n, max: 2n }) });

const command: fc.Arbitrary<Command> = fc.oneof(
  fc
    .record({ target, state: fc.constantFrom(InstanceState.SERVING, InstanceState.DRAINING) })
    .map(({ target: { n, incarnation }, state }): Command => {
      return { kind: "register", instance: instanceOf(n, { incarnation, state }) };
    }),
  fc
    .record({ target, kind: fc.constantFrom("beat" as const, "suspect" as const, "deregister" as const) })
    .map(({ target: { n, incarnation }, kind }): Command => ({ kind, instanceId: idOf(n), incarnation })),
  fc.constant<Command>({ kind: "reap" }),
);

async function history(store: Store, commands: readonly Command[]): Promise<[Outcome, number][]> {
  const outcomes: [Outcome, number][] = [];
  for (const command of commands) {
    const { outcome, revision } = await store.write(command);
    outcomes.push([outcome, revision.number]);
  }
  return outcomes;
}

function byId(instances: readonly Instance[]): Instance[] {
  return [...instances].sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1));
}
