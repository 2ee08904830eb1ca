/** What the parts of a node share. */
import type { VersionClock } from "../mesh/cache/version.ts";
import type { Ring } from "../mesh/cache/ring.ts";
import type { Clock, Random } from "../mesh/clock.ts";
import type { HotKeys } from "./hot-keys.ts";
import type { Leases } from "./leases.ts";
import type { Namespaces } from "./namespaces.ts";
import type { Sender } from "./sender.ts";
import type { SlotSet } from "./slot-set.ts";
import type { Change, Store } from "./store/store.ts";
import type { TagClocks } from "./tags.ts";

/** Counters of a node since its start. */
export interface NodeCounts {
  hits: number;
  misses: number;
  stale: number;
  writes: number;
  /** Writes that found too few copies in time. */
  unavailable: number;
  conflicts: number;
  leases: number;
  /** Changes from other nodes whose clock runs too far ahead. */
  fromFuture: number;
  /** Slots whose fingerprint differed on two nodes although neither evicted anything. */
  auditAlarms: number;
}

/** State that the parts of a node share. */
export interface Core {
  readonly self: string;
  readonly store: Store;
  readonly versions: VersionClock;
  readonly clock: Clock;
  readonly random: Random;
  readonly tags: TagClocks;
  readonly leases: Leases;
  readonly hotKeys: HotKeys;
  readonly warm: SlotSet;
  readonly counts: NodeCounts;
  readonly namespaces: Namespaces;
  /**
   * What a node missed for longer than this is not to be trusted any more, since others may have forgotten deletions:
   * half of the shortest time for which any namespace remembers them.
   */
  readonly maxAbsenceMs: number;
  ring(): Ring;
  /** The stream to another node of the ring. */
  sender(node: string): Sender | undefined;
  senders(): Iterable<Sender>;
  /** Address of a member, for clients. */
  readonly addressOf: (node: string) => string;
  /** Applies a change here, voids the lease of its key and wakes who waits. True: it is the newest. */
  applyHere(change: Change): "applied" | "older" | "no_room";
}
