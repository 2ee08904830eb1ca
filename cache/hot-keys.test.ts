import { expect, test } from "vitest";
import { seededRandom } from "../mesh/clock.ts";
import { createHotKeys } from "./hot-keys.ts";

function readSecond(share: number, reads: number, keys = 10_000) {
  let now = 0;
  const random = seededRandom(3);
  const hotKeys = createHotKeys({ monotonic: () => now });
  for (let read = 0; read <= reads + 8; read++) {
    now = (read / reads) * 1000;
    hotKeys.read(random() < share ? 7 : 8 + Math.floor(random() * keys));
  }
  return hotKeys;
}

test("finds a key with a tenth of the reads, and no other", () => {
  const hotKeys = readSecond(0.1, 20_000);
  expect(hotKeys.read(7)).toBe(true);
  expect(hotKeys.size).toBe(1);
});

test("finds none where reads are spread evenly", () => {
  expect(readSecond(0, 20_000).size).toBe(0);
});

test("finds none on a node that has little to do", () => {
  expect(readSecond(0.5, 500).size).toBe(0);
});

test("forgets a key that is no longer read", () => {
  let now = 0;
  const hotKeys = createHotKeys({ monotonic: () => now });
  for (; now <= 1001; now += 0.1) hotKeys.read(7);
  expect(hotKeys.size).toBe(1);
  for (; now <= 3003; now += 0.1) hotKeys.read(Math.floor(now * 1000));
  expect(hotKeys.size).toBe(0);
});
