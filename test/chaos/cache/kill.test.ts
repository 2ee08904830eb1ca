/**
 * `kill -9` of any one of three nodes under writes that two nodes have to acknowledge: whatever was acknowledged is there
 * afterwards, and reads go on.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { OperationKind, Status } from "../../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { operation } from "../../../mesh/cache/session-codec.ts";
import { createCacheTier, type CacheTier } from "../../../mesh/cache/tier.ts";
import { seededRandom } from "../../../mesh/clock.ts";
import { createStaticResolver } from "../../../mesh/registry/static-resolver.ts";
import { startCacheCluster, type CacheCluster } from "../../support/cache-cluster.ts";

const TRIALS = 100;
const WRITES_PER_S = 10_000;
const BEFORE_MS = 300;
const AFTER_MS = 500;
const KEYS = 20_000;
const READ_TIMEOUT_MS = 250;

let cluster: CacheCluster;
let tier: CacheTier;
beforeAll(async () => {
  cluster = await startCacheCluster(3, ["max_bytes: 268435456", "namespaces: [{ name: t }]"]);
  tier = createCacheTier({ resolver: createStaticResolver(cluster.addresses) });
});
afterAll(async () => {
  await tier.close();
  await cluster.stop();
});

test(`${TRIALS} kills lose no acknowledged write`, async () => {
  const random = seededRandom(5);
  const latest = new Map<number, number>();
  let [acked, failed, reads, readsServed] = [0, 0, 0, 0];
  let sequence = 0;
  const lost: string[] = [];

  const write = async () => {
    const number = sequence++;
    const key = number % KEYS;
    const answer = await tier.execute(
      operation({ kind: OperationKind.SET, key: Buffer.from(`t:${key}`), value: Buffer.from(`${number}`) }),
      2000,
    );
    if (answer.status !== Status.OK) return void failed++;
    acked++;
    latest.set(key, Math.max(number, latest.get(key) ?? -1));
  };
  const readOne = async () => {
    const key = Math.floor(random() * KEYS);
    if (!latest.has(key)) return;
    reads++;
    const op = operation({ kind: OperationKind.GET, key: Buffer.from(`t:${key}`) });
    const answer = await tier.execute(op, READ_TIMEOUT_MS);
    if (answer.status === Status.OK) readsServed++;
  };
  /** What a key holds, however long it takes to hear of it; -1 for nothing. */
  const readForSure = async (key: number): Promise<number> => {
    for (;;) {
      const op = operation({ kind: OperationKind.GET, key: Buffer.from(`t:${key}`) });
      const { status, value } = await tier.execute(op, 2000);
      if (status === Status.OK) return Number(value.toString());
      if (status === Status.MISS) return -1;
    }
  };
  const verify = async (trial: number) => {
    const keys = [...latest];
    for (let at = 0; at < keys.length; at += 256) {
      const found = await Promise.all(keys.slice(at, at + 256).map(([key]) => readForSure(key)));
      for (const [index, value] of found.entries()) {
        const [key, number] = keys[at + index] as [number, number];
        if (value < number) lost.push(`trial ${trial}: key ${key} has ${value}, acknowledged was ${number}`);
      }
    }
  };

  for (let trial = 1; trial <= TRIALS; trial++) {
    const victim = Math.floor(random() * 3);
    const running: Promise<void>[] = [];
    const begin = performance.now();
    let killed: Promise<void> | undefined;
    for (let sent = 0; performance.now() - begin < BEFORE_MS + AFTER_MS;) {
      const due = ((performance.now() - begin) / 1000) * WRITES_PER_S;
      for (; sent < due; sent++) running.push(write());
      if (killed !== undefined) for (let count = 0; count < 5; count++) running.push(readOne());
      if (killed === undefined && performance.now() - begin > BEFORE_MS) killed = cluster.kill(victim);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all([...running, killed]);
    await verify(trial);
    await cluster.start(victim);
    await cluster.settled();
  }
  console.log(
    `${TRIALS} kills: ${acked} writes acknowledged, ${failed} not, ${lost.length} lost; ` +
      `${((100 * readsServed) / reads).toFixed(3)} % of ${reads} reads after the kill served within ${READ_TIMEOUT_MS} ms`,
  );
  expect(lost).toEqual([]);
  expect(readsServed / reads).toBeGreaterThanOrEqual(0.995);
}, 3_600_000);
