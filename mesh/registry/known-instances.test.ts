import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { differences, FORGET_AFTER_MS, GRACE_MS, HOLD_FOR_MS, KnownInstances } from "./known-instances.ts";
import { idOf, instanceOf } from "./testing.ts";

function known(...instances: readonly Instance[]): KnownInstances {
  const known = new KnownInstances();
  known.reset(instances, 0);
  return known;
}

/** Numbers of the published instances; those that are suspect are negative. */
function numbers(known: KnownInstances): number[] {
  return [...known.published().values()].map(({ instanceId, suspect }) => {
    const number = Number(instanceId.slice(3));
    return suspect ? -number : number;
  });
}

describe("an instance that said goodbye", () => {
  test("leaves at once, even as the last one", () => {
    const two = known(instanceOf(1), instanceOf(2));
    two.remove(idOf(1), true, 0);
    expect(numbers(two)).toEqual([2]);
    two.remove(idOf(2), true, 0);
    expect(numbers(two)).toEqual([]);
  });

  test("leaves although it had vanished before", () => {
    const one = known(instanceOf(1));
    one.remove(idOf(1), false, 0);
    expect(numbers(one)).toEqual([-1]);
    one.remove(idOf(1), true, 0);
    expect(numbers(one)).toEqual([]);
  });
});

test("a farewell does not bring back who vanished before", () => {
  const two = known(instanceOf(1), instanceOf(2));
  two.remove(idOf(1), false, 0);
  expect(numbers(two)).toEqual([2]);
  two.remove(idOf(2), true, 0);
  expect(numbers(two)).toEqual([]);
});

describe("an instance that vanished", () => {
  test("leaves while at least half of the service remains", () => {
    const four = known(instanceOf(1), instanceOf(2), instanceOf(3), instanceOf(4));
    four.remove(idOf(1), false, 0);
    four.remove(idOf(2), false, 0);
    expect(numbers(four)).toEqual([3, 4]);
  });

  test("stays, suspect, when more than half have vanished, and with it those before", () => {
    const four = known(instanceOf(1), instanceOf(2), instanceOf(3), instanceOf(4));
    for (const n of [1, 2, 3]) four.remove(idOf(n), false, n);
    expect(numbers(four)).toEqual([4, -1, -2, -3]);
  });

  test("is replaced as soon as enough others are there", () => {
    const two = known(instanceOf(1), instanceOf(2));
    for (const n of [1, 2]) two.remove(idOf(n), false, 0);
    expect(numbers(two)).toEqual([-1, -2]);
    two.upsert(instanceOf(3));
    expect(numbers(two)).toEqual([3, -1, -2]);
    two.upsert(instanceOf(4));
    expect(numbers(two)).toEqual([3, 4]);
  });

  test("is counted for each of its services", () => {
    const both = { services: ["test.v1.A", "test.v1.B"] };
    const three = known(instanceOf(1, both), instanceOf(2, { services: ["test.v1.A"] }));
    three.remove(idOf(1), false, 0);
    expect(numbers(three)).toEqual([2, -1]);
  });

  test("is itself again when it is heard of", () => {
    const one = known(instanceOf(1));
    one.remove(idOf(1), false, 0);
    one.upsert(instanceOf(1));
    expect(numbers(one)).toEqual([1]);
  });

  test("is not missed unless it was serving", () => {
    const two = known(
      instanceOf(1, { state: InstanceState.DRAINING }),
      instanceOf(2, { state: InstanceState.STARTING }),
    );
    two.reset([], 0);
    expect(numbers(two)).toEqual([]);
  });

  test("is kept for ever without siblings, and for five minutes besides some", () => {
    const alone = known(instanceOf(1));
    alone.remove(idOf(1), false, 0);
    alone.age(HOLD_FOR_MS * 1000);
    expect(numbers(alone)).toEqual([-1]);
    const three = known(instanceOf(1), instanceOf(2), instanceOf(3));
    for (const n of [1, 2]) three.remove(idOf(n), false, 0);
    three.age(HOLD_FOR_MS - 1);
    expect(numbers(three)).toEqual([3, -1, -2]);
    three.age(HOLD_FOR_MS);
    expect(numbers(three)).toEqual([3]);
  });

  test("does not count any more after a minute", () => {
    const two = known(instanceOf(1), instanceOf(2));
    two.remove(idOf(1), false, 0);
    two.age(FORGET_AFTER_MS);
    two.upsert(instanceOf(3));
    two.remove(idOf(2), false, FORGET_AFTER_MS);
    expect(numbers(two)).toEqual([3]);
  });
});

describe("an instance that a whole answer of the registry lacks", () => {
  test("is kept as it was for a time of grace", () => {
    const four = known(instanceOf(1), instanceOf(2), instanceOf(3), instanceOf(4));
    four.reset([instanceOf(1), instanceOf(2), instanceOf(3)], 0);
    four.age(GRACE_MS - 1);
    expect(numbers(four)).toEqual([1, 2, 3, 4]);
    four.age(GRACE_MS);
    expect(numbers(four)).toEqual([1, 2, 3]);
  });

  test("counts as vanished afterwards", () => {
    const two = known(instanceOf(1), instanceOf(2));
    two.reset([], 0);
    expect(numbers(two)).toEqual([1, 2]);
    two.age(GRACE_MS);
    expect(numbers(two)).toEqual([-1, -2]);
  });

  test("leaves at once when it says goodbye", () => {
    const two = known(instanceOf(1), instanceOf(2));
    two.reset([], 0);
    two.remove(idOf(1), true, 0);
    expect(numbers(two)).toEqual([2]);
  });
});

test("ignores an older incarnation", () => {
  const one = known(instanceOf(1, { incarnation: 2n }));
  one.upsert(instanceOf(1, { incarnation: 1n, state: InstanceState.DRAINING }));
  expect(one.live(idOf(1))?.state).toBe(InstanceState.SERVING);
});

test("keeps what did not change, so that it can be compared by identity", () => {
  const two = known(instanceOf(1), instanceOf(2));
  const before = two.published();
  two.reset([instanceOf(1), instanceOf(2)], 0);
  two.upsert(instanceOf(2));
  expect(two.published()).toBe(before);
});

test("never loses more than half of a service that did not say goodbye", () => {
  const answer = fc.record({
    present: fc.uniqueArray(fc.integer({ min: 1, max: 12 })),
    waitMs: fc.integer({ min: 0, max: GRACE_MS * 2 }),
  });
  fc.assert(
    fc.property(fc.array(answer, { minLength: 2, maxLength: 8 }), (answers) => {
      const all = new KnownInstances();
      let nowMs = 0;
      for (const { present, waitMs } of answers) {
        const before = all.published().size;
        all.reset(
          present.map((n) => instanceOf(n)),
          nowMs,
        );
        nowMs += waitMs;
        all.age(nowMs);
        expect(all.published().size * 2).toBeGreaterThanOrEqual(before);
      }
    }),
  );
});

test("differences are told by identity", () => {
  const [one, two, three] = [instanceOf(1), instanceOf(2), instanceOf(3)];
  const changed = instanceOf(2, { weight: 5 });
  const before = new Map([one, two].map((instance) => [instance.instanceId, instance]));
  const after = new Map([changed, three].map((instance) => [instance.instanceId, instance]));
  expect(differences(before, after)).toEqual({ added: [three], changed: [changed], removed: [one] });
});
