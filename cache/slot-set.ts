/** A set of slots as bits, slot 0 in the lowest bit of the first byte. */
import { SLOT_COUNT } from "../mesh/cache/slots.ts";

/** A set of slots. */
export interface SlotSet {
  readonly bits: Uint8Array;
  readonly size: number;
  has(slot: number): boolean;
  /** True if that changed anything. */
  set(slot: number, member: boolean): boolean;
}

/** Makes an empty set, or one with these bits. */
export function createSlotSet(bits: Uint8Array = new Uint8Array(0)): SlotSet {
  const own = new Uint8Array(SLOT_COUNT / 8);
  own.set(bits.subarray(0, own.length));
  let size = 0;
  for (let slot = 0; slot < SLOT_COUNT; slot++) if (hasSlot(own, slot)) size++;
  return {
    bits: own,
    get size() {
      return size;
    },
    has: (slot) => hasSlot(own, slot),
    set(slot, member) {
      if (hasSlot(own, slot) === member) return false;
      own[slot >> 3] = (own[slot >> 3] as number) ^ (1 << (slot & 7));
      size += member ? 1 : -1;
      return true;
    },
  };
}

/** Whether the bits have a slot. */
export function hasSlot(bits: Uint8Array, slot: number): boolean {
  return (((bits[slot >> 3] ?? 0) >> (slot & 7)) & 1) === 1;
}
