/**
 * What the store knows of each entry, one typed array a property. A million entries are then a dozen objects to the
 * garbage collector instead of millions. The arrays are as long as they may ever get: untouched pages cost no memory.
 */

/** Properties of entries by id; ids are dense from 0 and are used again. */
export interface Columns {
  readonly capacity: number;
  /** XXH32 of the key. */
  readonly hash: Uint32Array;
  readonly slot: Uint16Array;
  readonly version: Float64Array;
  /** When it was applied here, in this store's own count of changes. */
  readonly seq: Float64Array;
  /** Milliseconds since the Unix epoch; Infinity for never. */
  readonly expireAt: Float64Array;
  /** How long past `expireAt` it may still be served as stale. */
  readonly graceMs: Uint32Array;
  /** How long its loader took, for early refresh; 65,535 for that and longer. */
  readonly loadMs: Uint16Array;
  /** Where its bytes lie in the arena. */
  readonly address: Uint32Array;
  /** `Flag` bits. */
  readonly flags: Uint8Array;
  /** Index of its space. */
  readonly space: Uint8Array;
  /** Private to the eviction policy. */
  readonly policy: Uint8Array;
  readonly queueNext: Int32Array;
  readonly queuePrevious: Int32Array;
  readonly wheelNext: Int32Array;
  readonly wheelPrevious: Int32Array;
  /** Next entry of the same bucket of the index. */
  readonly chain: Int32Array;
}

/** Bits of `Columns.flags`. */
export const Flag = {
  /** The id is in use. */
  live: 1,
  /** The key was deleted; the entry remembers when. */
  tombstone: 2,
  /** A client keeps a copy and wants to hear of changes. */
  near: 4,
  /** It is scheduled on the wheel. */
  timed: 8,
} as const;

/** Bytes that one entry takes in all columns and in the index. */
export const COLUMN_BYTES = 67;

/** Makes columns for up to `capacity` entries. */
export function createColumns(capacity: number): Columns {
  return {
    capacity,
    hash: new Uint32Array(capacity),
    slot: new Uint16Array(capacity),
    version: new Float64Array(capacity),
    seq: new Float64Array(capacity),
    expireAt: new Float64Array(capacity),
    graceMs: new Uint32Array(capacity),
    loadMs: new Uint16Array(capacity),
    address: new Uint32Array(capacity),
    flags: new Uint8Array(capacity),
    space: new Uint8Array(capacity),
    policy: new Uint8Array(capacity),
    queueNext: new Int32Array(capacity),
    queuePrevious: new Int32Array(capacity),
    wheelNext: new Int32Array(capacity),
    wheelPrevious: new Int32Array(capacity),
    chain: new Int32Array(capacity),
  };
}

/** A doubly linked list of ids through two columns. */
export interface IdList {
  readonly length: number;
  /** The id that was pushed first, or -1. */
  first(): number;
  push(id: number): void;
  remove(id: number): void;
}

/** Makes a list. An id may be in one list of the same two columns at a time. */
export function createIdList(next: Int32Array, previous: Int32Array): IdList {
  let oldest = -1;
  let newest = -1;
  let length = 0;
  return {
    get length() {
      return length;
    },
    first: () => oldest,
    push(id) {
      next[id] = -1;
      previous[id] = newest;
      if (newest === -1) oldest = id;
      else next[newest] = id;
      newest = id;
      length++;
    },
    remove(id) {
      const after = next[id] as number;
      const before = previous[id] as number;
      if (before === -1) oldest = after;
      else next[before] = after;
      if (after === -1) newest = before;
      else previous[after] = before;
      length--;
    },
  };
}
