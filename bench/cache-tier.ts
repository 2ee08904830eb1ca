/**
 * A tier of three nodes at a steady rate: how long operations take, and how long it takes until no node serves what a tag
 * invalidated.
 *
 *     npm run bench -- cache-tier [--rate 20000] [--seconds 15]
 */
import { parseArgs } from "node:util";
import { OperationKind, Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { operation } from "../mesh/cache/session-codec.ts";
import { createCacheTier, type CacheTier } from "../mesh/cache/tier.ts";
import { seededRandom } from "../mesh/clock.ts";
import { startCacheCluster } from "../test/support/cache-cluster.ts";
import { startLoad, store, type LoadOptions } from "../test/support/cache-load.ts";

const KEYS = 20_000;
const VALUE_BYTES = 1024;
const TAGGED = 100_000;
const ROUNDS = 5;
const AT_A_TIME = 500;
const TIMEOUT_MS = 10_000;

/** Starts the tier and prints the figures. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rate: { type: "string", default: "20000" }, seconds: { type: "string", default: "15" } },
  });
  const cluster = await startCacheCluster(3, ["max_bytes: 536870912", "namespaces: [{ name: t }]"]);
  const tier = createCacheTier({ resolver: cluster.resolver });
  try {
    await steady(tier, Number(values.rate), Number(values.seconds));
    await invalidation(tier);
  } finally {
    await tier.close();
    await cluster.stop();
  }
}

async function steady(tier: CacheTier, rate: number, seconds: number): Promise<void> {
  const options: LoadOptions = {
    tiers: [tier],
    keys: Array.from({ length: KEYS }, (_, index) => Buffer.from(`t:${index}`)),
    valueBytes: VALUE_BYTES,
    opsPerS: rate,
    writeRatio: 0.2,
    timeoutMs: TIMEOUT_MS,
    random: seededRandom(1),
  };
  await store(options);
  const load = startLoad(options);
  await pass(seconds * 333);
  load.take();
  await pass(seconds * 1000);
  const { operations, failures, misses, p50Ms, p99Ms } = load.take();
  await load.stop();
  console.log(
    `${(operations / seconds).toFixed(0)} operations/s, 80 % GET and 20 % SET of 1 KiB on two nodes: p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms; ` +
      `${failures.length} failed, ${misses} missed`,
  );
}

/** All entries have one tag, and are looked for as soon as the invalidation of that is answered. */
async function invalidation(tier: CacheTier): Promise<void> {
  const keys = Array.from({ length: TAGGED }, (_, index) => Buffer.from(`t:tagged-${index}`));
  const took: number[] = [];
  let served = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await inBatches(keys, (key) =>
      tier.execute(
        operation({ kind: OperationKind.SET, key, value: Buffer.alloc(128), tags: ["all"] }),
        TIMEOUT_MS,
      ),
    );
    const begin = performance.now();
    const op = operation({ kind: OperationKind.INVALIDATE, key: Buffer.from("t:"), tags: ["all"] });
    const { status, message } = await tier.execute(op, TIMEOUT_MS);
    took.push(performance.now() - begin);
    if (status !== Status.OK) throw new Error(`the invalidation ended with status ${status} ${message}`);
    await inBatches(keys, async (key) => {
      const answer = await tier.execute(operation({ kind: OperationKind.GET, key }), TIMEOUT_MS);
      if (answer.status === Status.OK) served++;
    });
  }
  took.sort((a, b) => a - b);
  console.log(
    `Invalidation of a tag of ${TAGGED} entries: ${took[Math.floor(ROUNDS / 2)]!.toFixed(1)} ms (median of ${ROUNDS}), at most ${took.at(-1)!.toFixed(1)} ms, until all nodes have it; ${served} served after that`,
  );
}

async function inBatches(keys: readonly Buffer[], each: (key: Buffer) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < keys.length; at += AT_A_TIME) {
    await Promise.all(keys.slice(at, at + AT_A_TIME).map(each));
  }
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
