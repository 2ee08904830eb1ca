/**
 * Remembers the hashes of entries that left lately, as many as held so many bytes. A table of four-way buckets with the
 * time of leaving, counted in bytes that left since: no list to keep, and forgetting costs nothing.
 */

/** A memory of hashes. */
export interface Ghost {
  /** An entry left. */
  add(hash: number, bytes: number): void;
  /** Whether an entry with this hash left lately; forgets it. */
  take(hash: number): boolean;
}

const WAYS = 4;
/** Time is kept in units of so many bytes, so that 32 bits last. */
const UNIT_BYTES = 16;

/** Bytes that a ghost for so many hashes takes. */
export function ghostBytes(capacity: number): number {
  return bucketsFor(capacity) * WAYS * 8;
}

/** Makes a ghost for up to `capacity` hashes that remembers entries until `windowBytes()` more have left. */
export function createGhost(capacity: number, windowBytes: () => number): Ghost {
  const buckets = bucketsFor(capacity);
  const hashes = new Uint32Array(buckets * WAYS);
  const times = new Uint32Array(buckets * WAYS);
  let leftBytes = windowBytes() + UNIT_BYTES;

  const first = (hash: number) => ((Math.imul(hash, 0x9e3779b1) >>> 8) & (buckets - 1)) * WAYS;
  const age = (at: number) => (Math.floor(leftBytes / UNIT_BYTES) - (times[at] as number)) >>> 0;

  return {
    add(hash, bytes) {
      leftBytes += bytes;
      const start = first(hash);
      let oldest = start;
      for (let at = start + 1; at < start + WAYS; at++) if (age(at) > age(oldest)) oldest = at;
      hashes[oldest] = hash;
      times[oldest] = Math.floor(leftBytes / UNIT_BYTES);
    },
    take(hash) {
      const start = first(hash);
      for (let at = start; at < start + WAYS; at++) {
        if (hashes[at] !== hash || age(at) > windowBytes() / UNIT_BYTES || times[at] === 0) continue;
        times[at] = 0;
        return true;
      }
      return false;
    },
  };
}

function bucketsFor(capacity: number): number {
  return 2 ** Math.max(4, Math.ceil(Math.log2(Math.max(1, capacity / WAYS))));
}
