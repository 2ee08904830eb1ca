/** Who is to hold a slot. */
import type { Ring } from "../mesh/cache/ring.ts";

/** Whether a node is in the ring. */
export function isMember(ring: Ring, node: string): boolean {
  return ring.members.some(({ id }) => id === node);
}

/** Whether a node is to hold a slot. */
export function isOwner(ring: Ring, slot: number, node: string): boolean {
  const place = ring.place(slot, node);
  return place !== -1 && place < ring.replicas;
}

/** The nodes that are to hold a slot. */
export function ownersOf(ring: Ring, slot: number): readonly string[] {
  return ring.owners(slot).slice(0, ring.replicas);
}

/** Whether the nodes that are to hold a slot are the same by two rings, in the same order. */
export function hasSameOwners(one: Ring, other: Ring, slot: number): boolean {
  const owners = one.owners(slot);
  const others = other.owners(slot);
  for (let index = 0; index < other.replicas; index++) if (owners[index] !== others[index]) return false;
  return true;
}
