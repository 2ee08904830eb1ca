/**
 * A node of three is killed for good: the other two copy what it held between them, until each entry is on two nodes again.
 * Each node holds 100,000 entries of 1 KiB.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { OperationKind, Status } from "../../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { operation } from "../../../mesh/cache/session-codec.ts";
import { createCacheTier, type CacheTier } from "../../../mesh/cache/tier.ts";
import { sleep } from "../../../mesh/clock.ts";
import { startCacheCluster, type CacheCluster } from "../../support/cache-cluster.ts";
import { store } from "../../support/cache-load.ts";
import { seededRandom } from "../../../mesh/clock.ts";

const ENTRIES = 150_000;
const REDUNDANT_MS = 10_000;
const AT_A_TIME = 500;

let cluster: CacheCluster;
let tier: CacheTier;
beforeAll(async () => {
  cluster = await startCacheCluster(3, ["max_bytes: 536870912", "namespaces: [{ name: t }]"], {
    registry: true,
  });
  tier = createCacheTier({ resolver: cluster.resolver });
});
afterAll(async () => {
  await tier?.close();
  await cluster?.stop();
});

test("after a kill every entry is on two nodes again", { timeout: 300_000 }, async () => {
  const keys = Array.from({ length: ENTRIES }, (_, index) => Buffer.from(`t:${index}`));
  const random = seededRandom(1);
  await store({
    tiers: [tier],
    keys,
    valueBytes: 1024,
    timeoutMs: 5000,
    random,
    opsPerS: 0,
    writeRatio: 1,
  });
  await cluster.settled();
  const killed = performance.now();
  await cluster.kill(0);
  const survivors = [1, 2];
  const isRedundant = async () => {
    const all = await Promise.all(survivors.map((node) => cluster.stats(node)));
    return all.every(
      (stats) => stats.members.length === 2 && stats.coldSlots === 0 && Number(stats.entries) >= ENTRIES,
    );
  };
  while (!(await isRedundant())) await sleep(20);
  const redundantMs = performance.now() - killed;

  let missing = 0;
  for (let at = 0; at < ENTRIES; at += AT_A_TIME) {
    const batch = keys.slice(at, at + AT_A_TIME);
    const answers = await Promise.all(
      batch.map((key) => tier.execute(operation({ kind: OperationKind.GET, key }), 5000)),
    );
    missing += answers.filter(({ status }) => status !== Status.OK).length;
  }
  console.log(
    `${ENTRIES} entries on two nodes again ${(redundantMs / 1000).toFixed(2)} s after a kill -9, of which the lease is 3 s; ${missing} of them missing`,
  );
  expect(missing).toBe(0);
  expect(redundantMs).toBeLessThanOrEqual(REDUNDANT_MS);
});
