/**
 * Invalidation by tag: each tag has a clock, and an entry is valid while its version is greater than the clocks of all
 * its tags. Invalidating a tag is one number, however many entries have it. A clock is never lost: when there are too
 * many, the oldest are replaced by a floor under all of them, which invalidates more, never less.
 */
import type { TagClock } from "./frames.ts";

/** How an entry stands towards its tags. */
export type Validity = "valid" | "stale" | "invalid";

/** The clocks of all tags that were invalidated lately. */
export interface TagClocks {
  readonly floor: number;
  /** Tags with a clock. */
  readonly size: number;
  all(): readonly TagClock[];
  /** Sets the clock of a tag unless it stands higher. */
  apply(clock: TagClock): void;
  /** Raises the floor. */
  raiseFloor(version: number): void;
  check(tags: readonly number[], version: number): Validity;
}

/** Makes a table of at most `limit` clocks. `onChange` is called when entries may have become invalid. */
export function createTagClocks(onChange: () => void = () => {}, limit = 65_536): TagClocks {
  const clocks = new Map<number, TagClock>();
  let floor = 0;

  function shrink(): void {
    const oldest = [...clocks.values()].sort((a, b) => a.version - b.version).slice(0, Math.ceil(limit / 2));
    for (const { tag, version } of oldest) {
      clocks.delete(tag);
      floor = Math.max(floor, version);
    }
  }

  return {
    get floor() {
      return floor;
    },
    get size() {
      return clocks.size;
    },
    all: () => [...clocks.values()],
    apply(clock) {
      const present = clocks.get(clock.tag);
      if (present !== undefined && present.version >= clock.version) return;
      // A hard invalidation is not undone by a later soft one: both bounds cannot be kept, so the harder one is.
      const soft = clock.soft && (present === undefined || present.soft);
      clocks.set(clock.tag, { ...clock, soft });
      if (clocks.size > limit) shrink();
      onChange();
    },
    raiseFloor(version) {
      if (version <= floor) return;
      floor = version;
      onChange();
    },
    check(tags, version) {
      if (tags.length === 0) return "valid";
      if (version <= floor) return "invalid";
      let validity: Validity = "valid";
      for (const tag of tags) {
        const clock = clocks.get(tag);
        if (clock === undefined || version > clock.version) continue;
        if (!clock.soft) return "invalid";
        validity = "stale";
      }
      return validity;
    },
  };
}
