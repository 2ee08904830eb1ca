/** All three members are killed at once under load: the group comes back by itself, with every acknowledged write. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { sleep } from "../../../mesh/clock.ts";
import { expectKept, kill, report, startArena, verify, type Arena } from "./arena.ts";
import { startLoad } from "./load.ts";

const WHOLE_MS = 15_000;

let arena: Arena;

beforeAll(async () => {
  arena = await startArena();
});

afterAll(() => arena?.close());

test("all members killed -9 under load", { timeout: 300_000 }, async () => {
  const load = startLoad(arena.instances, { writers: 12, tokenReaders: 8, plainReaders: 4 });
  await sleep(4000);
  const begin = performance.now();
  for (const member of arena.group.seeds) kill(arena, member);
  while (arena.instances[0]!.topology().writer !== undefined) await sleep(5);
  await load.firstWriteElsewhere(undefined);
  const firstWriteMs = performance.now() - begin;
  await arena.whole();
  const wholeMs = performance.now() - begin;
  await sleep(1000);
  await load.stop();
  const verdict = await verify(arena, load.figures);
  console.log(
    `first write after ${(firstWriteMs / 1000).toFixed(2)} s, three ONLINE after ${(wholeMs / 1000).toFixed(2)} s`,
  );
  report(verdict, load.figures);

  expectKept(verdict, load.figures);
  expect(wholeMs).toBeLessThanOrEqual(WHOLE_MS);
});
