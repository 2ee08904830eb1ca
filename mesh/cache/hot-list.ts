/** The keys that nodes said are hot, for as long as they go on saying so. */
import type { Clock } from "../clock.ts";
import { xxh32 } from "./hash.ts";

/** Hot keys. */
export interface HotList {
  add(key: Uint8Array): void;
  has(key: Uint8Array): boolean;
}

/** A key is hot for so long after a node said it. */
const HOT_MS = 2000;
/** No node has more than some dozen hot keys; more than this are forgotten. */
const MOST = 1000;

/** Makes an empty list. */
export function createHotList(clock: Pick<Clock, "monotonic">): HotList {
  const until = new Map<number, number>();
  return {
    add(key) {
      if (until.size >= MOST) until.clear();
      until.set(xxh32(key), clock.monotonic() + HOT_MS);
    },
    has(key) {
      if (until.size === 0) return false;
      const hash = xxh32(key);
      const end = until.get(hash);
      if (end === undefined) return false;
      if (clock.monotonic() < end) return true;
      until.delete(hash);
      return false;
    },
  };
}
