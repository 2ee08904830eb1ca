import { expect, test } from "vitest";
import { runSchedule } from "../../../cache/simulator/schedule.ts";

const SEEDS = 10_000;
const FIRST = 1_000;

test("ten thousand schedules of kills, splits, pauses and absences break none of the promises", () => {
  const found: string[] = [];
  for (let seed = FIRST; seed < FIRST + SEEDS && found.length < 10; seed++) {
    const { problems, fault } = runSchedule(seed);
    for (const problem of problems) found.push(`seed ${seed}, ${fault}: ${problem}`);
  }
  expect(found).toEqual([]);
}, 1_800_000);
