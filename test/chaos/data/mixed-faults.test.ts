/**
 * At least 50 000 acknowledged writes and as many reads with a token, across faults of all kinds: none lost, none applied
 * twice, none stale, and all members with the same rows. `SEED=` repeats a run's choices.
 */
import { randomInt } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { seededRandom, sleep, type Random } from "../../../mesh/clock.ts";
import { expectKept, freeze, kill, line, report, shutDown, startArena, verify, type Arena } from "./arena.ts";
import { startLoad, type Figures } from "./load.ts";

const SEED = Number(process.env["SEED"] ?? randomInt(2 ** 31));
const WRITES = 50_000;
const TOKEN_READS = 50_000;
const CATCH_UP_PAUSE_MS = 200;

let arena: Arena;

beforeAll(async () => {
  arena = await startArena();
});

afterAll(() => arena?.close());

/** Each brings something down, and is over when it has. */
const faults: Readonly<Record<string, (random: Random) => Promise<void>>> = {
  "kill -9 of the primary": async () => kill(arena, await arena.primary()),
  "SIGSTOP of the primary, 10 s": async () => {
    freeze(arena, await arena.primary(), 10_000);
    await sleep(10_000);
  },
  "planned switchover": async (random) => switchover(random),
  "kill -9 of a secondary": async (random) => kill(arena, await aSecondary(random)),
  "SIGSTOP of a secondary, 10 s": async (random) => {
    freeze(arena, await aSecondary(random), 10_000);
    await sleep(10_000);
  },
  "shutdown of the primary": async () => shutDown(arena, await arena.primary()),
  "shutdown of a secondary": async (random) => shutDown(arena, await aSecondary(random)),
  "a second switchover": async (random) => switchover(random),
};

async function aSecondary(random: Random): Promise<string> {
  const primary = await arena.primary();
  const others = arena.group.seeds.filter((member) => member !== primary);
  return others[Math.floor(random() * others.length)]!;
}

async function switchover(random: Random): Promise<void> {
  await arena.group.group.switchover(Number((await aSecondary(random)).split(":")[1]));
}

test(
  `${WRITES} writes and ${TOKEN_READS} token reads across mixed faults (SEED=${SEED})`,
  { timeout: 3_600_000 },
  async () => {
    const random = seededRandom(SEED);
    const load = startLoad(arena.instances, { writers: 12, tokenReaders: 12, plainReaders: 2 });
    const { figures } = load;
    const order = Object.keys(faults).sort(() => random() - 0.5);
    for (const [i, what] of order.entries()) {
      await reached(figures, ((i + 1) / (order.length + 1)) * WRITES);
      await arena.whole();
      for (const latency of [figures.writeMs, figures.tokenReadMs, figures.plainReadMs]) latency.reset();
      await faults[what]!(random);
      await sleep(3000);
      load.pace(CATCH_UP_PAUSE_MS);
      await arena.whole();
      load.pace(0);
      console.log(line(what, figures));
    }
    while (figures.acknowledged.length < WRITES || figures.tokenReadMs.count < TOKEN_READS) await sleep(100);
    await arena.whole();
    await load.stop();
    const verdict = await verify(arena, figures);
    console.log(`SEED=${SEED}, ${order.length} faults`);
    report(verdict, figures);

    expectKept(verdict, figures);
    expect([...figures.errors]).toEqual([]);
    expect(verdict.acknowledged).toBeGreaterThanOrEqual(WRITES);
  },
);

async function reached({ acknowledged }: Figures, writes: number): Promise<void> {
  while (acknowledged.length < writes) await sleep(100);
}
