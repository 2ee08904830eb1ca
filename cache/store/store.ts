/**
 * The entries of a node, within a byte budget that counts everything they take. Every change goes through `apply`, which
 * keeps the greatest version of a key, whatever the order in which changes come: two stores that heard of the same
 * changes hold the same entries, eviction and expiry aside.
 */
import { xxh32 } from "../../mesh/cache/hash.ts";
import { SLOT_COUNT, slotOf } from "../../mesh/cache/slots.ts";
import type { Clock } from "../../mesh/clock.ts";
import { createArena, MAX_SEGMENT_BYTES, recordBytes, type Arena } from "./arena.ts";
import { createAudit, type Audit } from "./audit.ts";
import { COLUMN_BYTES, createColumns, createIdList, Flag, type Columns } from "./columns.ts";
import { createHashIndex } from "./index.ts";
import { createSpaces, spacesBytes } from "./spaces.ts";
import { createTimingWheel } from "./wheel.ts";

/** A change of a key. */
export interface Change {
  readonly key: Uint8Array;
  /** Undefined: the key is deleted. */
  readonly value: Uint8Array | undefined;
  readonly version: number;
  /** Milliseconds since the Unix epoch; Infinity for never. Of a deletion: when it may be forgotten. */
  readonly expireAt: number;
  readonly graceMs: number;
  /** Hashes of at most 8 tags. */
  readonly tags: readonly number[];
  readonly encoding: number;
  /** Index of its space. */
  readonly space: number;
  /** How long its loader took. */
  readonly loadMs: number;
}

/** What became of a change. */
export type Applied = "applied" | "older" | "no_room";

/** Surroundings and limits of a store. */
export interface StoreOptions {
  /** Budget of everything that the store keeps, at least 1 MiB. */
  readonly maxBytes: number;
  /** Byte quota of each space; 0 for a share of what the others leave. The first is the default space. */
  readonly quotas?: readonly number[];
  readonly clock: Pick<Clock, "now">;
  /** Whether a deletion whose time is over may be forgotten; else it is asked again ten seconds later. */
  mayForget?(id: number): boolean;
  /** An entry with the `near` flag changes or goes. */
  onNear?(hash: number): void;
}

/** Counters of a store since its start. */
export interface StoreCounts {
  evicted: number;
  expired: number;
  refused: number;
  compactions: number;
  /** Deletions forgotten early for want of room. */
  forgotten: number;
}

/** The entries of a node. */
export interface Store {
  readonly columns: Columns;
  readonly arena: Arena;
  readonly audit: Audit;
  readonly counts: Readonly<StoreCounts>;
  /** Entries, deletions included. */
  readonly size: number;
  /** Everything that is held, in bytes; never above the budget. */
  readonly usedBytes: number;
  /** The count of the last change. */
  readonly seq: number;
  /** One more than the greatest id in use so far. */
  readonly highWater: number;
  /** Bytes of the entries of a space. */
  spaceBytes(space: number): number;
  /** The id of a key, deletions and expired entries included; -1 if it is not there. */
  find(key: Uint8Array, hash?: number): number;
  /** Marks an entry as used, for eviction. */
  touch(id: number): void;
  /** Keeps the change unless the key has a greater version. Equal versions are decided by content, alike everywhere. */
  apply(change: Change): Applied;
  /** Drops an entry without a trace. */
  drop(id: number): void;
  /** Changes when an entry expires, as a new version of it. */
  reschedule(id: number, expireAt: number, graceMs: number, version: number): void;
  /** The greatest version applied in a slot. */
  slotVersion(slot: number): number;
  /** Removes what expired, at most `limit` entries. True: there may be more. */
  expire(limit: number): boolean;
  /** Drops everything. */
  clear(): void;
}

/** Longest key in bytes. */
export const MAX_KEY_BYTES = 1024;
/** Share of the segments that living entries may fill; the rest is what compaction works with. */
const FILL_RATIO = 0.94;
/** Share of the budget that deletions may take. */
const TOMBSTONE_RATIO = 0.25;
const RETRY_FORGET_MS = 10_000;
/** Entries are rarely smaller than this with everything; the columns have room for as many as fit then. */
const LEAST_ENTRY_BYTES = 128;

/** Makes an empty store. Throws TypeError for a budget under 1 MiB. */
export function createStore(options: StoreOptions): Store {
  const { maxBytes, clock } = options;
  if (!(maxBytes >= MAX_SEGMENT_BYTES))
    throw new TypeError(`maxBytes must be at least 1 MiB, not ${maxBytes}`);
  const columns = createColumns(Math.ceil(maxBytes / LEAST_ENTRY_BYTES));
  const { hash, slot, version, seq, expireAt, address, flags } = columns;
  const counts: StoreCounts = { evicted: 0, expired: 0, refused: 0, compactions: 0, forgotten: 0 };
  const audit = createAudit();
  const slotVersions = new Float64Array(SLOT_COUNT);
  /** Ids that may be used again, linked through `columns.chain`. */
  let freeId = -1;
  let highWater = 0;
  let lastSeq = 0;
  let size = 0;

  const quotas = options.quotas ?? [0];
  const fixedBytes = spacesBytes(maxBytes, quotas);
  const limitBytes = () => maxBytes - fixedBytes - highWater * COLUMN_BYTES;
  const arena = createArena({
    segmentBytes: segmentBytes(maxBytes),
    limitBytes,
    isAlive: (id, at) => address[id] === at && ((flags[id] as number) & Flag.live) !== 0,
  });
  const sizeOf = (id: number) => arena.sizeAt(address[id] as number);
  // One segment is what compaction works with.
  const liveLimit = () => Math.max(0, limitBytes() - segmentBytes(maxBytes)) * FILL_RATIO;
  const spaces = createSpaces(columns, maxBytes, quotas, liveLimit, sizeOf);
  const index = createHashIndex(columns);
  const tombstones = createIdList(columns.queueNext, columns.queuePrevious);
  let tombstoneBytes = 0;
  const dueAt = (id: number) => (expireAt[id] as number) + (columns.graceMs[id] as number);
  const wheel = createTimingWheel(columns.wheelNext, columns.wheelPrevious, dueAt, clock.now());

  function find(key: Uint8Array, keyHash: number = xxh32(key)): number {
    for (let id = index.bucket(keyHash); id !== -1; id = columns.chain[id] as number) {
      if (hash[id] === keyHash && arena.keyEquals(address[id] as number, key)) return id;
    }
    return -1;
  }

  const is = (id: number, flag: number) => ((flags[id] as number) & flag) !== 0;

  /** Takes an entry's bytes and its place in the order of eviction away, but keeps its id. */
  function detach(id: number): void {
    const bytes = sizeOf(id);
    if (is(id, Flag.tombstone)) {
      tombstones.remove(id);
      tombstoneBytes -= bytes;
    } else {
      spaces.of(id).remove(id, bytes);
    }
    release(id);
  }

  function release(id: number): void {
    if (is(id, Flag.timed)) wheel.remove(id);
    if (is(id, Flag.near)) options.onNear?.(hash[id] as number);
    audit.toggle(slot[id] as number, hash[id] as number, version[id] as number);
    arena.free(address[id] as number);
  }

  /** Forgets an entry whose bytes are released already. */
  function forget(id: number): void {
    index.remove(id);
    flags[id] = 0;
    giveBack(id);
    size--;
  }

  function giveBack(id: number): void {
    columns.chain[id] = freeId;
    freeId = id;
  }

  function takeId(): number {
    if (freeId === -1) return highWater++;
    const id = freeId;
    freeId = columns.chain[id] as number;
    return id;
  }

  function drop(id: number): void {
    detach(id);
    forget(id);
  }

  /** Makes room for a record; false if it can never fit. */
  function makeRoom(bytes: number): boolean {
    if (bytes > liveLimit() / 2) return false;
    while (arena.liveBytes + bytes > liveLimit() || spaces.isOver()) {
      if (!evictOne()) return arena.liveBytes + bytes <= liveLimit();
    }
    return true;
  }

  function evictOne(): boolean {
    if (tombstoneBytes > liveLimit() * TOMBSTONE_RATIO) {
      counts.forgotten++;
      drop(tombstones.first());
      return true;
    }
    const id = spaces.evict();
    if (id === -1) return false;
    counts.evicted++;
    audit.spoil(slot[id] as number);
    release(id);
    forget(id);
    return true;
  }

  /** Stores the record, compacting or evicting for as long as that helps. */
  function place(id: number, change: Change): boolean {
    const record = { ...change, value: change.value ?? NO_BYTES };
    for (;;) {
      const at = arena.heldBytes > limitBytes() ? -1 : arena.put(id, record);
      if (at !== -1) {
        address[id] = at;
        return true;
      }
      if (arena.compact(relocate)) counts.compactions++;
      else if (!evictOne()) return false;
    }
  }

  function relocate(id: number, at: number): void {
    address[id] = at;
  }

  /** Fills the columns of an entry whose bytes are in place. */
  function finish(id: number, change: Change, keyHash: number, keySlot: number): void {
    const isTombstone = change.value === undefined;
    hash[id] = keyHash;
    slot[id] = keySlot;
    columns.space[id] = change.space;
    columns.loadMs[id] = Math.min(0xffff, change.loadMs);
    flags[id] = Flag.live | (isTombstone ? Flag.tombstone : 0);
    stamp(id, change.version);
    setTimes(id, change.expireAt, change.graceMs);
    if (!isTombstone) return;
    tombstones.push(id);
    tombstoneBytes += sizeOf(id);
  }

  function stamp(id: number, newVersion: number): void {
    version[id] = newVersion;
    seq[id] = ++lastSeq;
    const keySlot = slot[id] as number;
    audit.toggle(keySlot, hash[id] as number, newVersion);
    if (newVersion > (slotVersions[keySlot] as number)) slotVersions[keySlot] = newVersion;
  }

  function setTimes(id: number, at: number, graceMs: number): void {
    expireAt[id] = at;
    columns.graceMs[id] = Math.min(0xffff_ffff, graceMs);
    if (at === Infinity) return;
    flags[id] = (flags[id] as number) | Flag.timed;
    wheel.add(id, dueAt(id));
  }

  function insert(change: Change, keyHash: number): Applied {
    if (freeId === -1 && highWater === columns.capacity && !evictOne()) return refuse();
    const id = takeId();
    flags[id] = 0;
    if (!place(id, change)) {
      giveBack(id);
      return refuse();
    }
    finish(id, change, keyHash, slotOf(change.key, keyHash));
    size++;
    index.add(id);
    if (change.value !== undefined) spaces.of(id).insert(id, sizeOf(id), keyHash);
    return "applied";
  }

  function replace(id: number, change: Change): Applied {
    const keyHash = hash[id] as number;
    drop(id);
    return insert(change, keyHash);
  }

  /** Puts a new version in the place of an old one, which keeps its place in the order of eviction. */
  function overwrite(id: number, change: Change): Applied {
    const policy = spaces.of(id);
    const before = sizeOf(id);
    const keyHash = hash[id] as number;
    const keySlot = slot[id] as number;
    release(id);
    const at = arena.put(id, { ...change, value: change.value ?? NO_BYTES });
    if (at === -1) {
      // Room has to be made first, and this entry must not be picked for that.
      policy.remove(id, before);
      forget(id);
      return insert(change, keyHash);
    }
    address[id] = at;
    finish(id, change, keyHash, keySlot);
    policy.resize(id, before, sizeOf(id));
    policy.touch(id);
    return "applied";
  }

  function refuse(): Applied {
    counts.refused++;
    return "no_room";
  }

  function expireOne(id: number): void {
    flags[id] = (flags[id] as number) & ~Flag.timed;
    if (is(id, Flag.tombstone) && options.mayForget?.(id) === false) {
      setTimes(id, clock.now() + RETRY_FORGET_MS, 0);
      return;
    }
    counts.expired++;
    drop(id);
  }

  return {
    columns,
    arena,
    audit,
    counts,
    get size() {
      return size;
    },
    get usedBytes() {
      return fixedBytes + arena.heldBytes + highWater * COLUMN_BYTES;
    },
    get seq() {
      return lastSeq;
    },
    get highWater() {
      return highWater;
    },
    spaceBytes: (space) => spaces.bytes(space),
    find,
    touch(id) {
      if (!is(id, Flag.tombstone)) spaces.of(id).touch(id);
    },
    apply(change) {
      const bytes = recordBytes(change.tags.length, change.key.length, change.value?.length ?? 0);
      const keyHash = xxh32(change.key);
      const id = find(change.key, keyHash);
      if (id !== -1 && !wins(change, id)) return "older";
      if (!makeRoom(bytes)) {
        // Better no entry than an old one.
        if (id !== -1 && find(change.key, keyHash) === id) drop(id);
        return refuse();
      }
      const still = find(change.key, keyHash);
      if (still === -1) return insert(change, keyHash);
      const isPlain =
        change.value !== undefined && !is(still, Flag.tombstone) && columns.space[still] === change.space;
      return isPlain ? overwrite(still, change) : replace(still, change);
    },
    drop,
    reschedule(id, at, graceMs, newVersion) {
      if (is(id, Flag.timed)) wheel.remove(id);
      flags[id] = (flags[id] as number) & ~Flag.timed;
      audit.toggle(slot[id] as number, hash[id] as number, version[id] as number);
      stamp(id, newVersion);
      setTimes(id, at, graceMs);
    },
    slotVersion: (of) => slotVersions[of] as number,
    expire: (limit) => wheel.advance(clock.now(), limit, expireOne),
    clear() {
      for (let id = 0; id < highWater; id++) if (is(id, Flag.live)) drop(id);
      slotVersions.fill(0);
    },
  };

  function wins(change: Change, id: number): boolean {
    const present = version[id] as number;
    if (change.version !== present) return change.version > present;
    if (is(id, Flag.tombstone)) return false;
    if (change.value === undefined) return true;
    return xxh32(change.value) > xxh32(arena.valueAt(address[id] as number));
  }
}

const NO_BYTES = new Uint8Array(0);

/** A sixty-fourth of the budget, so that what a half-full segment wastes stays small, within 64 KiB and 1 MiB. */
function segmentBytes(maxBytes: number): number {
  const ideal = 2 ** Math.floor(Math.log2(maxBytes / 64));
  return Math.min(MAX_SEGMENT_BYTES, Math.max(64 * 1024, ideal));
}
