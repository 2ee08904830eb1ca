/** Which entry goes when there is no more room. The store asks; the policy only keeps the order. */

/** An order of eviction over entries by id. */
export interface EvictionPolicy {
  /** Bytes of the entries in it. */
  readonly bytes: number;
  /** A new entry. */
  insert(id: number, bytes: number, hash: number): void;
  /** An entry was read or overwritten. */
  touch(id: number): void;
  /** An entry has another size now. */
  resize(id: number, fromBytes: number, toBytes: number): void;
  /** An entry is gone for another reason than eviction. */
  remove(id: number, bytes: number): void;
  /** Takes out the entry that should go; -1 if there is none. */
  evict(): number;
}

/** What a policy may use: its columns are not touched by anyone else while an id is in it. */
export interface PolicyColumns {
  readonly capacity: number;
  readonly hash: Uint32Array;
  readonly policy: Uint8Array;
  readonly queueNext: Int32Array;
  readonly queuePrevious: Int32Array;
}
