/** A replica that stands still for five seconds: the primary neither grows without bound nor slows down who need not wait for it. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { membershipOf } from "../../../mesh/cache/members.ts";
import { slotOf } from "../../../mesh/cache/slots.ts";
import { createCacheTier, type CacheTier } from "../../../mesh/cache/tier.ts";
import { seededRandom, sleep } from "../../../mesh/clock.ts";
import { startCacheCluster, type CacheCluster } from "../../support/cache-cluster.ts";
import { startLoad, store, type LoadOptions } from "../../support/cache-load.ts";

const MIB = 1024 * 1024;
const QUIET_MS = 5000;
const STILL_MS = 5000;
const STILL = 2;

let cluster: CacheCluster;
let tier: CacheTier;
beforeAll(async () => {
  cluster = await startCacheCluster(3, ["max_bytes: 67108864", "namespaces: [{ name: t, ack: one }]"]);
  tier = createCacheTier({ resolver: cluster.resolver });
});
afterAll(async () => {
  cluster.signal(STILL, "SIGCONT");
  await tier.close();
  await cluster.stop();
});

test("a replica that stands still costs the primaries neither memory nor time", async () => {
  const options: LoadOptions = {
    tiers: [tier],
    keys: keysOfOthers(3000),
    valueBytes: 4096,
    opsPerS: 2000,
    writeRatio: 0.8,
    timeoutMs: 2000,
    random: seededRandom(3),
  };
  await store(options);
  const load = startLoad(options);
  await sleep(2000);
  load.take();
  await sleep(QUIET_MS);
  const quiet = load.take();
  const before = rssBytes();
  cluster.signal(STILL, "SIGSTOP");
  let most = 0;
  for (let passedMs = 0; passedMs < STILL_MS; passedMs += 100) {
    await sleep(100);
    most = Math.max(most, ...rssBytes().map((bytes, index) => bytes - before[index]!));
  }
  const still = load.take();
  cluster.signal(STILL, "SIGCONT");
  const begin = performance.now();
  await cluster.settled();
  const healedMs = performance.now() - begin;
  await load.stop();
  const after = load.take();
  console.log(
    `one of three nodes stood still for ${STILL_MS} ms under 1,600 writes of 4 KiB a second: ` +
      `primaries grew by ${(most / MIB).toFixed(1)} MiB at most; ` +
      `p50 ${quiet.p50Ms.toFixed(2)} and then ${still.p50Ms.toFixed(2)} ms, ` +
      `p99 ${quiet.p99Ms.toFixed(1)} and then ${still.p99Ms.toFixed(1)} ms ` +
      `(factor ${(still.p99Ms / quiet.p99Ms).toFixed(1)}); all copies there again after ${healedMs.toFixed(0)} ms`,
  );
  expect([...quiet.failures, ...still.failures, ...after.failures]).toEqual([]);
  expect(most).toBeLessThanOrEqual(64 * MIB);
}, 120_000);

/** Keys of which another node is primary; the node that stands still is replica of about half of them. */
function keysOfOthers(count: number): Buffer[] {
  const instances = cluster.addresses.map((address) => ({ address, zone: "", weight: 1 }));
  const { ring } = membershipOf(instances, 2);
  const keys: Buffer[] = [];
  for (let number = 0; keys.length < count; number++) {
    const key = Buffer.from(`t:${number}`);
    if (ring.place(slotOf(key), cluster.addresses[STILL]!) !== 0) keys.push(key);
  }
  return keys;
}

/** Of the nodes that run. */
function rssBytes(): number[] {
  return [0, 1].map((index) => {
    const status = readFileSync(`/proc/${cluster.process(index).pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  });
}
