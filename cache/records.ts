/** Entries of the store as frames and changes. */
import type { Frame } from "./frames.ts";
import { Flag } from "./store/columns.ts";
import type { Store } from "./store/store.ts";

/** The frame that makes another node hold what this one does. Copies: the arena may move before it is sent. */
export function appendOf(store: Store, id: number): Frame {
  const { columns, arena } = store;
  const at = columns.address[id] as number;
  const isTombstone = ((columns.flags[id] as number) & Flag.tombstone) !== 0;
  return {
    kind: "append",
    condition: undefined,
    isLive: false,
    change: {
      key: Buffer.from(arena.keyAt(at)),
      value: isTombstone ? undefined : Buffer.from(arena.valueAt(at)),
      version: columns.version[id] as number,
      expireAt: columns.expireAt[id] as number,
      graceMs: columns.graceMs[id] as number,
      tags: arena.tagsAt(at),
      encoding: arena.encodingAt(at),
      loadMs: columns.loadMs[id] as number,
    },
  };
}

/** Whether the id is a deletion. */
export function isTombstone(store: Store, id: number): boolean {
  return ((store.columns.flags[id] as number) & Flag.tombstone) !== 0;
}
