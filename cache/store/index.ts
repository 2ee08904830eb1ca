/**
 * Finds entries by the hash of their key. Linear hashing (Litwin, 1980): the table grows by one bucket with each entry,
 * so that no insertion ever waits for a rehash.
 */
import type { Columns } from "./columns.ts";

/** Ids by hash. */
export interface HashIndex {
  /** First id in the bucket of a hash, or -1; go on with `columns.chain`. Other hashes lie in the same bucket. */
  bucket(hash: number): number;
  /** Adds an id by its `columns.hash`. */
  add(id: number): void;
  /** Takes an id out. */
  remove(id: number): void;
}

const FIRST_BUCKETS = 1024;

/** Makes an index over entries in `columns`. */
export function createHashIndex(columns: Columns): HashIndex {
  const { chain, hash } = columns;
  const heads = new Int32Array(Math.max(FIRST_BUCKETS, columns.capacity)).fill(-1, 0, FIRST_BUCKETS);
  let mask = FIRST_BUCKETS - 1;
  let buckets = FIRST_BUCKETS;
  let size = 0;

  // Hashes of one slot share their low bits; the multiplication brings the high bits down.
  function bucketOf(value: number): number {
    const mixed = Math.imul(value ^ (value >>> 15), 0x9e3779b1) >>> 0;
    const wide = mixed & (mask * 2 + 1);
    return wide < buckets ? wide : mixed & mask;
  }

  /** Adds a bucket and moves into it what belongs there from the one bucket that it splits. */
  function split(): void {
    const from = buckets - (mask + 1);
    let id = heads[from] as number;
    heads[from] = -1;
    heads[buckets] = -1;
    buckets++;
    while (id !== -1) {
      const following = chain[id] as number;
      link(id);
      id = following;
    }
    if (buckets === (mask + 1) * 2) mask = mask * 2 + 1;
  }

  function link(id: number): void {
    const bucket = bucketOf(hash[id] as number);
    chain[id] = heads[bucket] as number;
    heads[bucket] = id;
  }

  return {
    bucket: (value) => heads[bucketOf(value)] as number,
    add(id) {
      link(id);
      size++;
      if (size > buckets && buckets < heads.length) split();
    },
    remove(id) {
      const bucket = bucketOf(hash[id] as number);
      let at = heads[bucket] as number;
      if (at === id) {
        heads[bucket] = chain[id] as number;
      } else {
        while (chain[at] !== id) at = chain[at] as number;
        chain[at] = chain[id] as number;
      }
      size--;
    },
  };
}
