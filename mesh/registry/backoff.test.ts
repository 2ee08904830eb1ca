import { expect, test } from "vitest";
import { jittered, reconnectDelayMs } from "./backoff.ts";

const most = () => 1;
const least = () => 0;

test.each([
  [1, 100],
  [2, 200],
  [3, 400],
  [6, 3200],
  [7, 5000],
  [1000, 5000],
])("after %i failures waits for up to %i ms", (failures, longestMs) => {
  expect(reconnectDelayMs(failures, most)).toBe(longestMs);
  expect(reconnectDelayMs(failures, least)).toBe(0);
});

test("jitter is within a tenth", () => {
  expect(jittered(5000, least)).toBeCloseTo(4500);
  expect(jittered(5000, most)).toBeCloseTo(5500);
});
