/**
 * Which slot a key lies in. The key space is cut into 4,096 slots; a slot, not a key, has owners. Keys that share the
 * text between the first `{` and the next `}` share their slot, as in Redis Cluster, so that they can be kept together.
 */
import { xxh32 } from "./hash.ts";

/** How many slots there are. Part of the protocol: every node and client must agree. */
export const SLOT_COUNT = 4096;

const OPEN = 0x7b;
const CLOSE = 0x7d;

/** The slot of a key; `hash` is `xxh32(key)` where the caller has it already. */
export function slotOf(key: Uint8Array, hash: number = xxh32(key)): number {
  const open = key.indexOf(OPEN);
  if (open === -1) return hash & (SLOT_COUNT - 1);
  const close = key.indexOf(CLOSE, open + 1);
  if (close <= open + 1) return hash & (SLOT_COUNT - 1);
  return xxh32(key, 0, open + 1, close) & (SLOT_COUNT - 1);
}
