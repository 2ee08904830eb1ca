/**
 * Finds the keys that have a great share of a node's reads: space-saving counters over a sample, a second at a time.
 * (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005.)
 */
import type { Clock } from "../mesh/clock.ts";

/** The keys that are read most. */
export interface HotKeys {
  /** How many keys are hot. */
  readonly size: number;
  /** Counts a read of the key with this hash, and tells whether that key is hot. */
  read(hash: number): boolean;
}

/** A key is hot while its share of reads is at least this. */
const SHARE = 0.03;
/** A node that has fewer reads a second than this bears any share of them. */
const LEAST_READS = 1000;
/** One read in so many is looked at. */
const SAMPLE = 8;
const COUNTERS = 32;
const WINDOW_MS = 1000;

/** Makes counters of a node that was not read yet. */
export function createHotKeys(clock: Pick<Clock, "monotonic">): HotKeys {
  let counters = new Map<number, number>();
  let hot = new Set<number>();
  let samples = 0;
  let reads = 0;
  let startedAt = clock.monotonic();

  function sample(hash: number): void {
    const now = clock.monotonic();
    if (now - startedAt >= WINDOW_MS) {
      hot = samples * SAMPLE >= LEAST_READS ? hottest(counters, samples) : new Set();
      counters = new Map();
      samples = 0;
      startedAt = now;
    }
    samples++;
    const count = counters.get(hash);
    if (count !== undefined || counters.size < COUNTERS) return void counters.set(hash, (count ?? 0) + 1);
    // The newcomer takes over the least counter with its count: what is frequent is never missed.
    const [least, leastCount] = [...counters].reduce((a, b) => (b[1] < a[1] ? b : a));
    counters.delete(least);
    counters.set(hash, leastCount + 1);
  }

  return {
    get size() {
      return hot.size;
    },
    read(hash) {
      if (++reads % SAMPLE === 0) sample(hash);
      return hot.size > 0 && hot.has(hash);
    },
  };
}

function hottest(counters: ReadonlyMap<number, number>, samples: number): Set<number> {
  // The counters share at most all samples, so that each may be too high by this.
  const error = samples / COUNTERS;
  return new Set([...counters].filter(([, count]) => count - error >= SHARE * samples).map(([hash]) => hash));
}
