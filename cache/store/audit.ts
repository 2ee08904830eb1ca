/**
 * A fingerprint of each slot: the exclusive or of a mix of hash and version of all its entries. Two copies of a slot
 * with the same entries have the same fingerprint. It only raises an alarm: copies evict on their own, so a difference
 * in a slot that evicted means nothing.
 */
import { avalanche } from "../../mesh/cache/hash.ts";
import { SLOT_COUNT } from "../../mesh/cache/slots.ts";

/** Fingerprints of all slots. */
export interface Audit {
  /** Adds an entry, or takes it out again. */
  toggle(slot: number, hash: number, version: number): void;
  /** An entry of the slot was evicted. */
  spoil(slot: number): void;
  /** Whether the slot evicted nothing since `renew`. */
  isWhole(slot: number): boolean;
  renew(slot: number): void;
  /** The fingerprint of a slot; 0 for an empty one. */
  of(slot: number): number;
}

/** Makes the fingerprints of an empty store. */
export function createAudit(): Audit {
  const high = new Uint32Array(SLOT_COUNT);
  const low = new Uint32Array(SLOT_COUNT);
  const spoiled = new Uint8Array(SLOT_COUNT);
  return {
    toggle(slot, hash, version) {
      const lowBits = avalanche(hash ^ version);
      low[slot] = (low[slot] as number) ^ lowBits;
      high[slot] = (high[slot] as number) ^ avalanche(lowBits ^ hash ^ Math.floor(version / 0x1_0000_0000));
    },
    spoil(slot) {
      spoiled[slot] = 1;
    },
    isWhole: (slot) => spoiled[slot] === 0,
    renew(slot) {
      spoiled[slot] = 0;
    },
    of: (slot) => ((high[slot] as number) & 0x1fffff) * 0x1_0000_0000 + (low[slot] as number),
  };
}
