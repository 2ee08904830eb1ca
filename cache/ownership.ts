/** Who is to hold a slot. */
import type { Ring } from "../mesh/cache/ring.ts";

/** Whether a node is to hold a slot. */
export function isOwner(ring: Ring, slot: number, node: string): boolean {
  const place = ring.place(slot, node);
  return place !== -1 && place < ring.replicas;
}

/** The nodes that are to hold a slot. */
export function ownersOf(ring: Ring, slot: number): readonly string[] {
  return ring.owners(slot).slice(0, ring.replicas);
}
