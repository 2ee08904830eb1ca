/**
 * Whether a node has taken its place: it is filled for all slots that it owns, and no other member lacks anything that
 * it has. A rolling restart waits for that before it goes on with the next node. A node that is not warm takes calls all
 * the same, so this says nothing about readiness.
 */
import { SLOT_COUNT } from "../mesh/cache/slots.ts";
import type { Clock } from "../mesh/clock.ts";
import type { Core } from "./core.ts";
import type { CacheNode } from "./node.ts";
import { isMember, isOwner } from "./ownership.ts";

/** How far a node has come. */
export interface Warmth {
  /** It is in the ring, and nothing is left to do. */
  readonly isWarm: boolean;
  /** Slots that it owns and that are not filled yet. */
  readonly coldSlots: number;
  /** Members that lack something that this node has, or that it cannot reach. */
  readonly behind: readonly string[];
}

/** The service name under which `grpc.health.v1.Health` tells it. */
export const WARM_STATUS = "heddle.cache.v1.WarmStatus";

const LOOK_EVERY_MS = 200;

/** How far a node has come now. */
export function warmthOf({ core }: CacheNode): Warmth {
  const coldSlots = coldSlotsOf(core);
  const behind = [...core.senders()].filter((sender) => !sender.isComplete()).map(({ node }) => node);
  return {
    isWarm: isMember(core.ring(), core.self) && coldSlots === 0 && behind.length === 0,
    coldSlots,
    behind,
  };
}

/** Tells `set` whether the node is warm, now and whenever that changes, until the result is called. */
export function reportWarmth(node: CacheNode, clock: Clock, set: (isWarm: boolean) => void): () => void {
  let last: boolean | undefined;
  let cancel = () => {};
  const look = () => {
    const { isWarm } = warmthOf(node);
    if (isWarm !== last) set(isWarm);
    last = isWarm;
    cancel = clock.after(LOOK_EVERY_MS, look);
  };
  look();
  return () => cancel();
}

function coldSlotsOf(core: Core): number {
  const ring = core.ring();
  let count = 0;
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    if (!core.warm.has(slot) && isOwner(ring, slot, core.self)) count++;
  }
  return count;
}
