/**
 * Versions of entries: a hybrid logical clock in 53 bits, so that a double holds it exactly. Later writes have greater
 * versions on one node, and on two nodes as soon as one has heard of the other; a clock that runs ahead cannot drag the
 * others along by more than half a second. (Kulkarni et al., "Logical physical clocks", 2014.)
 */
import type { Clock } from "../clock.ts";

/** The clock that stamps versions. */
export interface VersionClock {
  /** A version greater than all that this clock gave or heard of. */
  next(): number;
  /** The greatest version given or heard of, and at least the present time. */
  now(): number;
  /** Hears of a version from elsewhere. False: it lies too far in the future and must be refused. */
  hear(version: number): boolean;
}

/** A stamp further ahead than this is refused. */
const MAX_AHEAD_MS = 500;
/** Versions a millisecond. */
const PER_MS = 4096;
/** 2020-01-01: 41 bits of milliseconds last until 2089. */
const EPOCH_MS = Date.UTC(2020, 0, 1);

/** Makes a version clock on a wall clock. */
export function createVersionClock(clock: Pick<Clock, "now">): VersionClock {
  let last = 0;
  const wall = () => (Math.floor(clock.now()) - EPOCH_MS) * PER_MS;
  return {
    next() {
      last = Math.max(last + 1, wall());
      return last;
    },
    now: () => Math.max(last, wall()),
    hear(version) {
      if (version > wall() + MAX_AHEAD_MS * PER_MS) return false;
      last = Math.max(last, version);
      return true;
    },
  };
}

/** When a version was given, in milliseconds since the Unix epoch. */
export function versionTimeMs(version: number): number {
  return Math.floor(version / PER_MS) + EPOCH_MS;
}
