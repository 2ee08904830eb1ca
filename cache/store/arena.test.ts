import { expect, test } from "vitest";
import { createArena } from "./arena.ts";

const SEGMENT = 64 * 1024;
const SEGMENTS = 20;
const RECORDS = 7100;

test("goes on taking what replaces something of the same size, in segments that are used again and again", () => {
  const addresses = new Map<number, number>();
  const arena = createArena({
    segmentBytes: SEGMENT,
    limitBytes: () => SEGMENTS * SEGMENT,
    isAlive: (id, at) => addresses.get(id) === at,
  });
  const put = (id: number) => {
    const parts = { tags: [], key: Buffer.from(`k${id}`), value: Buffer.alloc(150), encoding: 0 };
    const old = addresses.get(id);
    if (old !== undefined) arena.free(old);
    addresses.delete(id);
    for (;;) {
      const at = arena.put(id, parts);
      if (at !== -1) return void addresses.set(id, at);
      expect(arena.compact((moved, to) => void addresses.set(moved, to))).toBe(true);
    }
  };
  for (let count = 0; count < 20 * RECORDS; count++) put((count * 7919) % RECORDS);
  expect(addresses.size).toBe(RECORDS);
  expect(arena.heldBytes).toBeLessThanOrEqual(SEGMENTS * SEGMENT);
});
