/**
 * Copies of answers in this process. The nodes that gave them tell when they are out of date, and count what they tell:
 * a gap in the count, a lost stream or another ring drops all that it may concern, so that nothing stays stale longer
 * than its few seconds, whatever is lost.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";
import { xxh32 } from "./hash.ts";
import type { Invalidation, Result } from "./session-codec.ts";

/** The copies that this process keeps. */
export interface NearCache {
  /** Bytes in it. */
  readonly bytes: number;
  /** A copy that is still good, as the answer of a node. */
  find(key: Uint8Array): Result | undefined;
  /** Keeps a copy of what a node has just answered, for at most `keepMs`. Call it in the turn of the answer. */
  keep(node: string, key: Uint8Array, answer: Result, keepMs: number): void;
  /** A key was written by this process. */
  drop(key: Uint8Array): void;
  /** A node has told of a change. */
  invalidated(node: string, invalidation: Invalidation): void;
  /** The stream to a node was lost. */
  lost(node: string): void;
  /** Nodes may own other keys now. */
  clear(): void;
}

interface Copy {
  readonly node: string;
  readonly key: Uint8Array;
  readonly answer: Result;
  readonly until: number;
}

/** What an entry takes beside key and value, about. */
const ENTRY_BYTES = 256;

/** Makes an empty one of at most `maxBytes`. */
export function createNearCache(maxBytes: number, clock: Clock): NearCache {
  const copies = new LRUCache<number, Copy>({
    maxSize: maxBytes,
    sizeCalculation: ({ key, answer }) => key.length + answer.value.length + ENTRY_BYTES,
  });
  /** The last invalidation of each node. */
  const sequences = new Map<string, number>();

  function dropAll(node: string): void {
    for (const [hash, copy] of copies.entries()) if (copy.node === node) copies.delete(hash);
  }

  return {
    get bytes() {
      return copies.calculatedSize;
    },
    find(key) {
      // Most processes have no copies, and need not hash each key for that.
      if (copies.size === 0) return undefined;
      const hash = xxh32(key);
      const copy = copies.get(hash);
      if (copy === undefined || Buffer.compare(copy.key, key) !== 0) return undefined;
      if (clock.monotonic() < copy.until) return copy.answer;
      copies.delete(hash);
      return undefined;
    },
    keep(node, key, answer, keepMs) {
      const leftMs = answer.ttlMs === 0 ? keepMs : Math.min(keepMs, answer.ttlMs);
      copies.set(xxh32(key), {
        node,
        key: Buffer.from(key),
        // The value is a view into a message with many.
        answer: { ...answer, value: Buffer.from(answer.value) },
        until: clock.monotonic() + leftMs,
      });
    },
    drop: (key) => void copies.delete(xxh32(key)),
    invalidated(node, { sequence, keyHash, all }) {
      const isGap = sequence !== (sequences.get(node) ?? 0) + 1;
      sequences.set(node, sequence);
      if (all || isGap) dropAll(node);
      else copies.delete(keyHash);
    },
    lost(node) {
      sequences.delete(node);
      dropAll(node);
    },
    clear: () => copies.clear(),
  };
}
