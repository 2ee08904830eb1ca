import { assert, property, shuffledSubarray } from "fast-check";
import { describe, expect, test } from "vitest";
import { createRing, type Member, type Ring } from "./ring.ts";
import { SLOT_COUNT, slotOf } from "./slots.ts";

const member = (id: string, zone = "", weight = 1): Member => ({ id, zone, weight });
const members = (count: number, zones = 0) =>
  Array.from({ length: count }, (_, index) =>
    member(`cache-${index + 1}`, zones === 0 ? "" : `z${index % zones}`),
  );
const slots = Array.from({ length: SLOT_COUNT }, (_, slot) => slot);

function moved(before: Ring, after: Ring): number {
  return slots.filter((slot) => before.owners(slot)[0] !== after.owners(slot)[0]).length / SLOT_COUNT;
}

describe("createRing", () => {
  test("does not depend on the order of members", () => {
    assert(
      property(shuffledSubarray(members(6), { minLength: 1 }), (some) => {
        const sorted = [...some].sort((a, b) => a.id.localeCompare(b.id));
        expect(createRing(some, 2).digest).toBe(createRing(sorted, 2).digest);
      }),
      { numRuns: 10 },
    );
  });

  test.each([2, 3, 5, 8, 12, 16])(
    "moves hardly more than the ideal share when node %i + 1 joins",
    (count) => {
      const share = moved(createRing(members(count), 2), createRing(members(count + 1), 2));
      expect(share).toBeLessThanOrEqual(1 / (count + 1) + 0.013);
    },
  );

  test.each([3, 5, 10, 16])("spreads a million keys over %i nodes within 3 percent of even", (count) => {
    const ring = createRing(members(count), 2);
    const load = new Map<string, number>();
    const key = Buffer.alloc(20, "product:");
    for (let i = 0; i < 1_000_000; i++) {
      key.writeUInt32LE(i, 12);
      const [primary = ""] = ring.owners(slotOf(key));
      load.set(primary, (load.get(primary) ?? 0) + 1);
    }
    const mean = 1_000_000 / count;
    const deviation =
      Math.sqrt([...load.values()].reduce((sum, n) => sum + (n - mean) ** 2, 0) / count) / mean;
    expect(deviation).toBeLessThanOrEqual(0.03);
    expect(Math.max(...load.values()) / mean).toBeLessThanOrEqual(1.03);
  });

  test("gives no node more slots than the bound", () => {
    const ring = createRing(members(7), 2);
    for (const { id } of ring.members) {
      expect(slots.filter((slot) => ring.owners(slot)[0] === id).length).toBeLessThanOrEqual(
        Math.ceil((1.015 * SLOT_COUNT) / 7),
      );
    }
  });

  test("makes the replica primary when the primary leaves", () => {
    const before = createRing(members(5), 2);
    const after = createRing(members(5).slice(1), 2);
    const lost = slots.filter((slot) => before.owners(slot)[0] === "cache-1");
    const held = lost.filter((slot) => before.owners(slot)[1] === after.owners(slot)[0]);
    expect(held.length / lost.length).toBeGreaterThan(0.99);
    expect(moved(before, after)).toBeLessThan(0.22);
  });

  test("puts the copies of a slot into different zones", () => {
    const ring = createRing(members(6, 3), 2);
    const zone = new Map(ring.members.map(({ id, zone }) => [id, zone]));
    for (const slot of slots) {
      const [primary = "", replica = ""] = ring.owners(slot);
      expect(zone.get(primary)).not.toBe(zone.get(replica));
    }
  });

  test("gives a node of twice the weight twice the slots", () => {
    const ring = createRing([member("a", "", 2), member("b"), member("c")], 2);
    const share = slots.filter((slot) => ring.owners(slot)[0] === "a").length / SLOT_COUNT;
    expect(share).toBeGreaterThan(0.47);
    expect(share).toBeLessThan(0.52);
  });

  test("names no node twice for a slot, and every node there is if they are few", () => {
    const ring = createRing(members(3), 2);
    for (const slot of slots) expect(new Set(ring.owners(slot)).size).toBe(3);
    expect(createRing(members(1), 2).owners(7)).toEqual(["cache-1"]);
    expect(createRing([], 2).owners(7)).toEqual([]);
  });

  test("tells the place of a node", () => {
    const ring = createRing(members(4), 2);
    const owners = ring.owners(99);
    expect(owners.map((id) => ring.place(99, id))).toEqual([0, 1, 2, 3]);
    expect(ring.place(99, "stranger")).toBe(-1);
  });

  test("refuses members that cannot be told apart, and weights below one", () => {
    expect(() => createRing([member("a"), member("a")], 2)).toThrow(TypeError);
    expect(() => createRing([member("a", "", 0)], 2)).toThrow(TypeError);
    expect(() => createRing([member("a")], 0)).toThrow(TypeError);
  });
});
