/**
 * What a node does by itself: expires entries, drops those of slots that others own, decides for which slots it is warm,
 * and checks fingerprints with the other owner.
 */
import type { Ring } from "../mesh/cache/ring.ts";
import { SLOT_COUNT } from "../mesh/cache/slots.ts";
import { versionTimeMs } from "../mesh/cache/version.ts";
import { auditFor } from "./auditing.ts";
import type { Core } from "./core.ts";
import { isOwner, ownersOf } from "./ownership.ts";
import { hasSlot } from "./slot-set.ts";
import { Flag } from "./store/columns.ts";

/** The upkeep of a node. */
export interface Upkeep {
  ringChanged(before: Ring, after: Ring): void;
  /** The node has dropped everything. */
  dropped(): void;
  /** Another node said what it is warm for, or became reachable. */
  peerChanged(): void;
  /** Drops at once what is not this node's and not new: others may have forgotten that it was deleted. */
  dropForeign(): void;
  /** This node is warm for nothing any more, until others say so. */
  doubtAll(): void;
  close(): void;
}

const TICK_MS = 100;
/** Entries looked at in one turn. */
const STEP = 5000;
const DROP_EVERY_MS = 10_000;
/** What a stand-in holds is dropped this long after its last use for that, if not sooner. */
const FOREIGN_MS = 60_000;
/** A slot that nobody can fill counts as filled after this long. */
const COLD_MS = 15_000;
const DECIDE_EVERY_MS = 1000;
const AUDIT_EVERY_MS = 10_000;
/** Clients give a write to a stand-in only after the primary has said nothing for longer than this. */
const PAUSED_MS = 900;

/** What a node does when its upkeep finds something. */
export interface UpkeepEvents {
  /** The node has become warm for a slot, or is no longer. */
  warm(): void;
  /** The process stood still for so long that others may have taken writes in its place. */
  woke(): void;
}

/** Starts the upkeep. */
export function createUpkeep(core: Core, events: UpkeepEvents): Upkeep {
  const { store, clock, warm } = core;
  /** Before deletions are forgotten elsewhere. */
  const foreignMs = Math.min(FOREIGN_MS, core.maxAbsenceMs);
  /** When the node became an owner of a slot, or ceased to be, on the monotonic clock. */
  const ownedSince = new Float64Array(SLOT_COUNT);
  let nextDrop = clock.monotonic() + DROP_EVERY_MS;
  let nextAudit = clock.monotonic() + AUDIT_EVERY_MS;
  let dropAt = -1;
  /** Slots that this node owns and is not warm for, and perhaps some that it has become warm for. */
  let cold: number[] = [];
  let nextDecision = 0;
  let lastTick = clock.monotonic();
  let cancel = clock.after(TICK_MS, tick);

  function tick(): void {
    cancel = clock.after(TICK_MS, tick);
    const now = clock.monotonic();
    if (now - lastTick > PAUSED_MS) events.woke();
    lastTick = now;
    store.expire(STEP);
    if (now >= nextDrop && dropAt === -1) {
      nextDrop = now + DROP_EVERY_MS;
      dropAt = 0;
    }
    if (dropAt !== -1) dropSome();
    if (now >= nextAudit) {
      nextAudit = now + AUDIT_EVERY_MS;
      audit();
    }
    if (now < nextDecision) return;
    decideWarm(now);
    // Who could fill this node is reminded of it.
    if (cold.length > 0) events.warm();
  }

  function audit(): void {
    for (const sender of core.senders()) if (sender.isComplete()) sender.notify(auditFor(core, sender.node));
  }

  /** Drops entries of slots that are not this node's, once the owners can be reached and need nothing from here. */
  function dropSome(): void {
    const ring = core.ring();
    const end = Math.min(store.highWater, dropAt + STEP);
    for (let id = dropAt; id < end; id++) {
      if (isForeign(ring, id) && areOwnersServed(ring, store.columns.slot[id] as number)) store.drop(id);
    }
    dropAt = end >= store.highWater ? -1 : end;
  }

  function isForeign(ring: Ring, id: number): boolean {
    const { flags, slot, version } = store.columns;
    const idSlot = slot[id] as number;
    if (((flags[id] as number) & Flag.live) === 0 || isOwner(ring, idSlot, core.self)) return false;
    return (
      clock.now() - versionTimeMs(version[id] as number) > foreignMs &&
      clock.monotonic() - (ownedSince[idSlot] as number) > foreignMs
    );
  }

  function areOwnersServed(ring: Ring, slot: number): boolean {
    const owners = ownersOf(ring, slot);
    return owners.length > 0 && owners.every((node) => core.sender(node)?.isSynced() === true);
  }

  /** A slot that no member is warm for has nothing to be filled with: all its owners are warm then. */
  function decideWarm(now: number): void {
    if (cold.length === 0) return;
    nextDecision = now + DECIDE_EVERY_MS;
    const ring = core.ring();
    const others = ring.members.filter(({ id }) => id !== core.self).map(({ id }) => core.sender(id)?.warm);
    const areAllKnown = others.every((bits) => bits !== undefined);
    const before = cold.length;
    cold = cold.filter((slot) => {
      if (warm.has(slot)) return false;
      const isLate = now - (ownedSince[slot] as number) > COLD_MS;
      if (!areAllKnown && !isLate) return true;
      if (others.some((bits) => bits !== undefined && hasSlot(bits, slot))) return true;
      warm.set(slot, true);
      return false;
    });
    if (cold.length !== before) events.warm();
  }

  function listCold(): void {
    const ring = core.ring();
    cold = [];
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (!warm.has(slot) && isOwner(ring, slot, core.self)) cold.push(slot);
    }
  }

  return {
    ringChanged(before, after) {
      const now = clock.monotonic();
      for (let slot = 0; slot < SLOT_COUNT; slot++) {
        const is = isOwner(after, slot, core.self);
        if (is !== isOwner(before, slot, core.self)) ownedSince[slot] = now;
        if (!is) warm.set(slot, false);
      }
      listCold();
      decideWarm(now);
    },
    peerChanged: () => decideWarm(clock.monotonic()),
    dropped: () => listCold(),
    doubtAll() {
      const now = clock.monotonic();
      for (let slot = 0; slot < SLOT_COUNT; slot++) {
        if (warm.set(slot, false)) ownedSince[slot] = now;
      }
      listCold();
      decideWarm(now);
    },
    dropForeign() {
      const ring = core.ring();
      for (let id = 0; id < store.highWater; id++) if (isForeign(ring, id)) store.drop(id);
    },
    close: () => cancel(),
  };
}
