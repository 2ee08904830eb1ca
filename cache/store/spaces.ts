/**
 * Shares of the budget. A space with a quota has an order of eviction of its own and pays for its own growth; the
 * others share the first one.
 */
import type { Columns } from "./columns.ts";
import { ghostBytes } from "./ghost.ts";
import type { EvictionPolicy } from "./policy.ts";
import { createS3Fifo } from "./s3fifo.ts";

/** The spaces of a store. */
export interface Spaces {
  /** The order of eviction that an entry is in. */
  of(id: number): EvictionPolicy;
  bytes(space: number): number;
  /** Whether a space with a quota holds more than that. */
  isOver(): boolean;
  /** Takes out the next entry to go: of a space over its quota, else of the one that is fullest for its share. */
  evict(): number;
}

/** Bytes that the spaces take beside the entries in them. */
export function spacesBytes(maxBytes: number, quotas: readonly number[]): number {
  return [maxBytes, ...quotas.filter((quota) => quota > 0)].reduce(
    (sum, bytes) => sum + ghostBytes(ghostsIn(bytes)),
    0,
  );
}

/** Entries that a space of so many bytes remembers; most entries are larger, and then it remembers for longer. */
function ghostsIn(bytes: number): number {
  return Math.ceil(bytes / 256);
}

/** Makes the spaces of `maxBytes`; `quotas[i]` is in bytes, 0 for those that share. */
export function createSpaces(
  columns: Columns,
  maxBytes: number,
  quotas: readonly number[],
  limitBytes: () => number,
  sizeOf: (id: number) => number,
): Spaces {
  if (quotas.length === 0 || quotas.length > 256) throw new TypeError("a store has 1 to 256 spaces");
  const reserved = quotas.reduce((sum, quota) => sum + quota, 0);
  const shared = createS3Fifo(
    columns,
    () => Math.max(1, limitBytes() - reserved),
    sizeOf,
    ghostsIn(maxBytes),
  );
  const policies = quotas.map((quota) =>
    quota === 0 ? shared : createS3Fifo(columns, () => quota, sizeOf, ghostsIn(quota)),
  );
  const owned = quotas.flatMap((quota, index) =>
    quota === 0 ? [] : [{ quota, policy: policies[index] as EvictionPolicy }],
  );
  const over = () => owned.find(({ quota, policy }) => policy.bytes > quota)?.policy;
  return {
    of: (id) => policies[columns.space[id] as number] ?? shared,
    bytes: (space) => policies[space]?.bytes ?? 0,
    isOver: () => owned.length > 0 && over() !== undefined,
    evict() {
      const first = over();
      if (first !== undefined) return first.evict();
      const id = shared.evict();
      if (id !== -1) return id;
      const fullest = owned.toSorted((a, b) => b.policy.bytes / b.quota - a.policy.bytes / a.quota)[0];
      return fullest?.policy.evict() ?? -1;
    },
  };
}
