import { describe, expect, test } from "vitest";
import { seededRandom } from "../../mesh/clock.ts";
import { createLru } from "./lru.ts";
import type { EvictionPolicy, PolicyColumns } from "./policy.ts";
import { createS3Fifo } from "./s3fifo.ts";

const KEYS = 100_000;
const REQUESTS = 600_000;
/** Requests that fill the cache, and are not counted. */
const WARM_UP = 200_000;

/** Zipf 0.9 over keys with lognormal sizes, median 230 bytes: what Twitter's caches look like. */
function trace() {
  const random = seededRandom(42);
  const cumulative = new Float64Array(KEYS);
  let sum = 0;
  for (let rank = 0; rank < KEYS; rank++) cumulative[rank] = sum += 1 / (rank + 1) ** 0.9;
  const sizes = Float64Array.from({ length: KEYS }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.max(16, Math.round(230 * Math.exp(normal)));
  });
  const requests = Int32Array.from({ length: REQUESTS }, () => {
    const target = random() * sum;
    let [low, high] = [0, KEYS - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] as number) < target) low = middle + 1;
      else high = middle;
    }
    return low;
  });
  return { sizes, requests };
}

/** The share of requests after the warm-up that hit, in percent. Keys are their own ids. */
function hitRatio(
  make: (columns: PolicyColumns) => EvictionPolicy,
  limit: number,
  { sizes, requests }: Trace,
): number {
  const columns = {
    capacity: KEYS,
    hash: Uint32Array.from({ length: KEYS }, (_, key) => Math.imul(key + 1, 0x9e3779b1)),
    policy: new Uint8Array(KEYS),
    queueNext: new Int32Array(KEYS),
    queuePrevious: new Int32Array(KEYS),
  };
  const policy = make(columns);
  const resident = new Uint8Array(KEYS);
  let hits = 0;
  for (const [index, key] of requests.entries()) {
    if (resident[key] === 1) {
      if (index >= WARM_UP) hits++;
      policy.touch(key);
      continue;
    }
    const size = sizes[key] as number;
    while (policy.bytes + size > limit) resident[policy.evict()] = 0;
    policy.insert(key, size, columns.hash[key] as number);
    resident[key] = 1;
  }
  return (100 * hits) / (REQUESTS - WARM_UP);
}

type Trace = ReturnType<typeof trace>;

describe("createS3Fifo", () => {
  const requests = trace();
  const total = requests.sizes.reduce((sum, size) => sum + size, 0);
  const sizeOf = (id: number) => requests.sizes[id] as number;

  test.each([
    [10, 6],
    [1, 10],
  ])("hits more than LRU in %i percent of the bytes, by at least %i points", (percent, points) => {
    const limit = (total * percent) / 100;
    const lru = hitRatio((columns) => createLru(columns, sizeOf), limit, requests);
    const s3fifo = hitRatio((columns) => createS3Fifo(columns, () => limit, sizeOf), limit, requests);
    expect(s3fifo - lru).toBeGreaterThanOrEqual(points);
  });
});
