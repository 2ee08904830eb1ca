import { expect, test } from "vitest";
import { createAnswerTimes, createHedgeBudget } from "./hedge.ts";

test("a read is slow after what 95 of 100 take, and never before two milliseconds", () => {
  const times = createAnswerTimes();
  for (let count = 0; count < 128; count++) times.add(count % 20 === 0 ? 50 : 5);
  expect(times.slowMs).toBe(50);
  for (let count = 0; count < 128; count++) times.add(0.1);
  expect(times.slowMs).toBe(2);
});

test("at most one read in fifty is asked twice in the long run", () => {
  const budget = createHedgeBudget();
  let spent = 0;
  for (let read = 0; read < 10_000; read++) {
    budget.earn();
    if (budget.spend()) spent++;
  }
  expect(spent).toBeGreaterThanOrEqual(200);
  expect(spent).toBeLessThanOrEqual(220);
});
