/** A node that is asked to end hands over what it holds, and one that starts is filled, while clients go on as before. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCacheTier, type CacheTier } from "../../../mesh/cache/tier.ts";
import { seededRandom, sleep } from "../../../mesh/clock.ts";
import { startCacheCluster, type CacheCluster } from "../../support/cache-cluster.ts";
import { startLoad, store, type LoadOptions, type LoadReport } from "../../support/cache-load.ts";

const ROUNDS = 6;
const SEED = Number(process.env["SEED"] ?? 7);
const QUIET_MS = 2000;

let cluster: CacheCluster;
let tiers: CacheTier[];
beforeAll(async () => {
  cluster = await startCacheCluster(3, ["max_bytes: 67108864", "namespaces: [{ name: t }]"], {
    registry: true,
  });
  tiers = Array.from({ length: 4 }, () => createCacheTier({ resolver: cluster.resolver }));
});
afterAll(async () => {
  await Promise.all(tiers.map((tier) => tier.close()));
  await cluster.stop();
});

test(`nodes leave and join ${ROUNDS} times under load: nothing fails, nothing is missing (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const options: LoadOptions = {
    tiers,
    keys: Array.from({ length: 10_000 }, (_, number) => Buffer.from(`t:${number}`)),
    valueBytes: 1024,
    opsPerS: 2000,
    writeRatio: 0.2,
    timeoutMs: 2000,
    random,
  };
  await store(options);
  const load = startLoad(options);
  await sleep(QUIET_MS);
  load.take();
  await sleep(QUIET_MS);
  const quiet = load.take();
  const during: LoadReport[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const leaver = round % 3;
    let begin = performance.now();
    expect(await cluster.leave(leaver)).toBe(0);
    await cluster.settled();
    const left = load.take();
    report(`round ${round + 1}: left in ${(performance.now() - begin).toFixed(0)} ms`, left);
    begin = performance.now();
    await cluster.start(leaver);
    await cluster.settled();
    await sleep(200);
    const joined = load.take();
    report(`round ${round + 1}: joined in ${(performance.now() - begin).toFixed(0)} ms`, joined);
    during.push(left, joined);
  }
  await load.stop();
  during.push(load.take());
  report("quiet", quiet);
  const slowest = Math.max(...during.map(({ p99Ms }) => p99Ms));
  const operations = during.reduce((sum, report) => sum + report.operations, 0);
  const misses = during.reduce((sum, report) => sum + report.misses, 0);
  console.log(
    `${operations} operations in ${ROUNDS} drains and joins: ${misses} misses; ` +
      `p99 ${quiet.p99Ms.toFixed(1)} ms quiet, at most ${slowest.toFixed(1)} ms (factor ${(slowest / quiet.p99Ms).toFixed(1)})`,
  );
  expect(during.flatMap(({ failures }) => failures)).toEqual([]);
  expect(misses).toBe(0);
}, 180_000);

test("nodes that are all asked to end do not wait for each other", async () => {
  const begin = performance.now();
  expect(await Promise.all([0, 1, 2].map((index) => cluster.leave(index)))).toEqual([0, 0, 0]);
  expect(performance.now() - begin).toBeLessThan(10_000);
}, 60_000);

function report(what: string, { operations, failures, misses, p50Ms, p99Ms }: LoadReport): void {
  console.log(
    `${what}: ${operations} operations, ${failures.length} failed, ${misses} misses, ` +
      `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(1)} ms`,
  );
}
