/** Answers GET: fresh, stale, or missing, and who loads it then. */
import { Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { result, type Operation, type Result } from "../mesh/cache/session-codec.ts";
import { slotOf } from "../mesh/cache/slots.ts";
import type { Core } from "./core.ts";
import { shouldRefresh } from "./leases.ts";
import { isTombstone } from "./records.ts";
import { Flag } from "./store/columns.ts";

/** How long a copy waits to become as fresh as asked before it says that it is not. */
const FRESH_WAIT_MS = 20;
/** A caller does not wait longer than this for the holder of a lease. */
const MAX_WAIT_MS = 10_000;

/** Answers a GET, now or later. */
export function read(core: Core, op: Operation, answer: (result: Result) => void): void {
  const slot = slotOf(op.key);
  const ring = core.ring();
  const place = ring.place(slot, core.self);
  // What a former owner holds may be old.
  if (place === -1 || (place >= ring.replicas && !op.standIn)) return answer(notOwner(core, op, slot));
  if (op.minVersion > core.store.slotVersion(slot) && !(place === 0 && core.warm.has(slot))) {
    // What it lacks is on its way, or this is not the copy to ask.
    core.clock.after(FRESH_WAIT_MS, () => {
      if (op.minVersion > core.store.slotVersion(slot)) {
        answer(result({ id: op.id, status: Status.NOT_FRESH, owners: owners(core, slot) }));
      } else {
        lookUp(core, op, slot, answer);
      }
    });
    return;
  }
  lookUp(core, op, slot, answer);
}

/** NOT_OWNER with the owners by this node's ring. */
export function notOwner(core: Core, op: Operation, slot: number): Result {
  return result({ id: op.id, status: Status.NOT_OWNER, owners: owners(core, slot) });
}

/** The id of an entry that can be served, fresh or stale, and which of the two. */
export function servable(core: Core, key: Uint8Array): { id: number; isFresh: boolean } | undefined {
  const { store } = core;
  const id = store.find(key);
  if (id === -1 || isTombstone(store, id)) return undefined;
  const { columns, arena } = store;
  const lateMs = core.clock.now() - (columns.expireAt[id] as number);
  if (lateMs >= (columns.graceMs[id] as number) && lateMs >= 0) return undefined;
  const validity = core.tags.check(
    arena.tagsAt(columns.address[id] as number),
    columns.version[id] as number,
  );
  if (validity === "invalid") return undefined;
  return { id, isFresh: lateMs < 0 && validity === "valid" };
}

function lookUp(core: Core, op: Operation, slot: number, answer: (result: Result) => void): void {
  const found = servable(core, op.key);
  if (found?.isFresh === true) {
    core.counts.hits++;
    core.store.touch(found.id);
    if (op.near) markNear(core, found.id);
    return answer(withValue(core, op, found.id, Status.OK, earlyLease(core, op, slot, found.id)));
  }
  // What the primary had may be with another stand-in: only when nobody has it is it missing.
  const isUnsure = !core.warm.has(slot) || (op.standIn && core.ring().place(slot, core.self) !== 0);
  if (isUnsure && !op.cold && found === undefined) {
    return answer(result({ id: op.id, status: Status.WARMING, owners: owners(core, slot) }));
  }
  const token = op.lease ? grant(core, op, slot, found?.id) : 0;
  if (found !== undefined && op.stale) {
    core.counts.stale++;
    return answer(withValue(core, op, found.id, Status.STALE, token));
  }
  if (token === 0 && op.lease && op.waitMs > 0 && park(core, op, slot, answer)) return;
  core.counts.misses++;
  answer(result({ id: op.id, status: Status.MISS, leaseToken: token }));
}

/** Waits for whoever loads the key, then looks again. */
function park(core: Core, op: Operation, slot: number, answer: (result: Result) => void): boolean {
  const start = core.clock.monotonic();
  // The key is a view into a message that is gone by then.
  const again = { ...op, key: Buffer.from(op.key) };
  return core.leases.park(op.key, Math.min(op.waitMs, MAX_WAIT_MS), () => {
    const leftMs = Math.max(0, op.waitMs - (core.clock.monotonic() - start));
    if (core.ring().place(slot, core.self) === -1) return answer(notOwner(core, again, slot));
    lookUp(core, { ...again, waitMs: leftMs }, slot, answer);
  });
}

/** A token if this caller is to load the value, else 0. Only the node that would take the write gives one. */
function grant(core: Core, op: Operation, slot: number, id: number | undefined): number {
  if (core.ring().place(slot, core.self) !== 0 && !op.standIn) return 0;
  const base = core.store.find(op.key);
  const version = id === undefined && base === -1 ? 0 : (core.store.columns.version[id ?? base] as number);
  const lease = core.leases.grant(op.key, version, core.versions.next());
  if (lease !== undefined) core.counts.leases++;
  return lease?.token ?? 0;
}

function earlyLease(core: Core, op: Operation, slot: number, id: number): number {
  if (!op.lease || core.leases.isHeld(op.key)) return 0;
  const leftMs = (core.store.columns.expireAt[id] as number) - core.clock.now();
  const isDue = shouldRefresh(leftMs, core.store.columns.loadMs[id] as number, core.random);
  return isDue ? grant(core, op, slot, id) : 0;
}

/** The client keeps a copy: it is told of the next change. */
function markNear({ store }: Core, id: number): void {
  store.columns.flags[id] = (store.columns.flags[id] as number) | Flag.near;
}

function withValue(core: Core, op: Operation, id: number, status: Status, leaseToken: number): Result {
  const { columns, arena } = core.store;
  const at = columns.address[id] as number;
  const leftMs = (columns.expireAt[id] as number) - core.clock.now();
  return result({
    id: op.id,
    status,
    value: arena.valueAt(at),
    version: columns.version[id] as number,
    encoding: arena.encodingAt(at),
    ttlMs: leftMs === Infinity ? 0 : Math.max(1, Math.ceil(leftMs)),
    leaseToken,
    hot: core.hotKeys.read(columns.hash[id] as number),
  });
}

function owners(core: Core, slot: number): readonly string[] {
  return core
    .ring()
    .owners(slot)
    .map((node) => core.addressOf(node));
}
