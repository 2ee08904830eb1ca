import { durationFromMs } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { idOf, instanceOf } from "../../mesh/registry/testing.ts";
import { RegistryMachine } from "./machine.ts";
import { suspectAfterMs, type Command } from "./store.ts";

const leaseMs = 15_000;

const step = fc.record({
  waitMs: fc.integer({ min: 0, max: 3000 }),
  n: fc.integer({ min: 1, max: 5 }),
  kind: fc.constantFrom(
    "register" as const,
    "beat" as const,
    "suspect" as const,
    "deregister" as const,
    "reap" as const,
  ),
});

function commandOf(kind: Command["kind"], n: number): Command {
  if (kind === "reap") return { kind };
  if (kind === "register") return { kind, instance: instanceOf(n) };
  return { kind, instanceId: idOf(n), incarnation: 0n };
}

test("its changes, applied in order, give its instances, whatever happened", () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const machine = new RegistryMachine(leaseMs);
      let nowMs = 0;
      for (const { waitMs, n, kind } of steps) {
        nowMs += waitMs;
        machine.apply(commandOf(kind, n), nowMs);
      }
      const replayed = new Map<string, Instance>();
      for (const change of machine.changesAfter(0) ?? []) {
        if (change.kind === "upsert") replayed.set(change.instance.instanceId, change.instance);
        else replayed.delete(change.instanceId);
      }
      expect(new Set(replayed.values())).toEqual(new Set(machine.instances()));
    }),
  );
});

test("a change that nobody can see gets no number", () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const machine = new RegistryMachine(leaseMs);
      let nowMs = 0;
      for (const { waitMs, n, kind } of steps) {
        nowMs += waitMs;
        const before = { number: machine.number, instances: machine.instances() };
        machine.apply(commandOf(kind, n), nowMs);
        const same =
          JSON.stringify(machine.instances(), bigints) === JSON.stringify(before.instances, bigints);
        expect(machine.number === before.number).toBe(same);
      }
    }),
  );
});

test("an instance that beats every 5.5 s is never suspect; one that stops is, then leaves", () => {
  const machine = new RegistryMachine(leaseMs);
  machine.apply(commandOf("register", 1), 0);
  machine.apply(commandOf("register", 2), 0);
  let suspectAtMs: number | undefined;
  let goneAtMs: number | undefined;
  for (let nowMs = 0; nowMs <= 20_000; nowMs += 500) {
    if (nowMs % 5500 === 0) machine.apply(commandOf("beat", 1), nowMs);
    machine.apply({ kind: "reap" }, nowMs);
    const [first, second] = machine.instances();
    expect(first).toEqual(instanceOf(1));
    if (second?.suspect === true) suspectAtMs ??= nowMs;
    if (second === undefined) goneAtMs ??= nowMs;
  }
  expect(suspectAtMs).toBe(suspectAfterMs(leaseMs));
  expect(goneAtMs).toBe(leaseMs);
});

test("nobody is removed by the first reaping after a long time without any", () => {
  const machine = new RegistryMachine(leaseMs);
  machine.apply({ kind: "reap" }, 0);
  machine.apply(commandOf("register", 1), 0);
  machine.apply({ kind: "reap" }, 600_000);
  expect(machine.instances()).toEqual([instanceOf(1)]);
  for (let nowMs = 600_000; nowMs <= 600_000 + leaseMs; nowMs += 1000) machine.apply({ kind: "reap" }, nowMs);
  expect(machine.instances()).toEqual([]);
});

test("after a time without any reaping only those leases begin anew that could not be renewed in it", () => {
  const machine = new RegistryMachine(leaseMs);
  const brief = instanceOf(1, { leaseTtl: durationFromMs(3000) });
  machine.apply({ kind: "register", instance: brief }, 0);
  machine.apply(commandOf("register", 2), 0);
  const gone: Record<string, number> = {};
  for (let nowMs = 2000; nowMs <= 20_000; nowMs += 200) {
    machine.apply({ kind: "reap" }, nowMs);
    for (const n of [1, 2])
      if (!machine.instances().some(({ instanceId }) => instanceId === idOf(n))) gone[n] ??= nowMs;
  }
  expect(gone).toEqual({ 1: 2000 + 3000, 2: leaseMs });
});

test("remembers as many changes as it was told to", () => {
  const machine = new RegistryMachine(leaseMs, 3);
  for (let n = 1; n <= 5; n += 1) machine.apply(commandOf("register", n), 0);
  expect(machine.changesAfter(1)).toBeUndefined();
  expect(machine.changesAfter(2)?.map(({ number }) => number)).toEqual([3, 4, 5]);
  expect(machine.changesAfter(5)).toEqual([]);
  expect(machine.changesAfter(6)).toBeUndefined();
});

function bigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
