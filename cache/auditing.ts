/**
 * Compares the fingerprints of slots on two nodes. Replication does not need it: a difference is a bug of this program,
 * or memory that failed, and is counted as one; the two then send each other the slot whole.
 */
import type { Core } from "./core.ts";
import type { Frame } from "./frames.ts";
import { isOwner } from "./ownership.ts";
import { createSlotSet, hasSlot } from "./slot-set.ts";

/** What a sender says: fingerprints of the slots that this node is primary of and `node` ought to hold. */
export function auditFor(core: Core, node: string): Frame {
  const ring = core.ring();
  const slots = createSlotSet();
  const prints: number[] = [];
  for (let slot = 0; slot < slots.bits.length * 8; slot++) {
    if (ring.place(slot, core.self) !== 0 || !isOwner(ring, slot, node)) continue;
    // Each copy evicts on its own.
    if (!core.warm.has(slot) || !core.store.audit.isWhole(slot)) continue;
    slots.set(slot, true);
    prints.push(core.store.audit.of(slot));
  }
  return { kind: "audit", slots: slots.bits, prints };
}

/** What a receiver makes of the fingerprints of one other node. */
export interface Auditor {
  /** Slots that differed already when the last fingerprints came, and have not changed on either side since. */
  differing(frame: Extract<Frame, { kind: "audit" }>): readonly number[];
}

/** Makes the auditor of one stream. Entries expire on each node by its own clock, so one difference means nothing. */
export function createAuditor(core: Core): Auditor {
  let before = new Map<number, string>();
  return {
    differing({ slots, prints }) {
      const found: number[] = [];
      const now = new Map<number, string>();
      let at = 0;
      for (let slot = 0; slot < slots.length * 8; slot++) {
        if (!hasSlot(slots, slot)) continue;
        const print = prints[at++];
        const own = core.store.audit.of(slot);
        if (print === own || !core.warm.has(slot) || !core.store.audit.isWhole(slot)) continue;
        now.set(slot, `${print} ${own}`);
        if (before.get(slot) === now.get(slot)) found.push(slot);
      }
      before = now;
      return found;
    },
  };
}
