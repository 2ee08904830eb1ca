/** A planned switchover under load: no caller sees an error, and no write takes long. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { sleep } from "../../../mesh/clock.ts";
import { expectKept, line, report, startArena, verify, type Arena } from "./arena.ts";
import { startLoad } from "./load.ts";

const TIMES = 3;
const SLOWEST_WRITE_MS = 1_500;

let arena: Arena;

beforeAll(async () => {
  arena = await startArena();
});

afterAll(() => arena?.close());

test(`${TIMES} planned switchovers under load`, { timeout: 300_000 }, async () => {
  const load = startLoad(arena.instances, { writers: 12, tokenReaders: 8, plainReaders: 4 });
  const { writeMs } = load.figures;
  await sleep(2000);
  writeMs.reset();
  await sleep(3000);
  const calmMs = writeMs.maxMs;
  const slowest: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    const primary = await arena.primary();
    const next = arena.group.seeds.find((member) => member !== primary)!;
    writeMs.reset();
    await arena.group.group.switchover(Number(next.split(":")[1]));
    await sleep(3000);
    slowest.push(writeMs.maxMs);
    console.log(line(`switchover to ${next}`, load.figures));
  }
  await arena.whole();
  await load.stop();
  const verdict = await verify(arena, load.figures);
  report(verdict, load.figures);

  expectKept(verdict, load.figures);
  expect([...load.figures.errors]).toEqual([]);
  // On a machine that is busy with other things even calm is slow.
  expect(Math.max(...slowest)).toBeLessThanOrEqual(Math.max(SLOWEST_WRITE_MS, 3 * calmMs));
});
