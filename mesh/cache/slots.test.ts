import { expect, test } from "vitest";
import { SLOT_COUNT, slotOf } from "./slots.ts";

const slot = (key: string) => slotOf(Buffer.from(key));

test("keeps keys with the same tag together", () => {
  expect(slot("cart:{c-7}:lines")).toBe(slot("cart:{c-7}:total"));
  expect(slot("cart:{c-7}:lines")).toBe(slot("c-7"));
});

test.each(["a{}b", "a{b", "a}b", "{"])("takes the whole key where %j has no tag", (key) => {
  expect(slot(key)).toBeLessThan(SLOT_COUNT);
  expect(slot(`${key}1`) === slot(`${key}2`) && slot(`${key}2`) === slot(`${key}3`)).toBe(false);
});

test("fills every slot about evenly", () => {
  const counts = new Uint32Array(SLOT_COUNT);
  for (let i = 0; i < 200_000; i++) counts[slot(`product:${i}`)]!++;
  expect(Math.min(...counts)).toBeGreaterThan(15);
  expect(Math.max(...counts)).toBeLessThan(95);
});
