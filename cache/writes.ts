/**
 * Answers SET, DELETE and TOUCH. The node that takes a write gives it its version, applies it, and sends it to the first
 * other nodes in order of preference that can be reached, so that a stand-in takes the place of a dead replica at once.
 * A write with a condition goes to the replica in the ring first, and only if both go by the same ring: on two sides of
 * a split at most one such write can win.
 */
import { Ack, OperationKind, Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { hash53 } from "../mesh/cache/hash.ts";
import { result, type Operation, type Result } from "../mesh/cache/session-codec.ts";
import { slotOf } from "../mesh/cache/slots.ts";
import { COPIES_MS, copyToOthers, createWaits } from "./copying.ts";
import type { Core } from "./core.ts";
import type { Frame } from "./frames.ts";
import type { Lease } from "./leases.ts";
import type { AckLevel, Namespace } from "./namespaces.ts";
import { ownersOf } from "./ownership.ts";
import { once } from "./once.ts";
import { notOwner, servable } from "./reads.ts";
import type { Sender } from "./sender.ts";
import type { Change } from "./store/store.ts";
import { createTimeouts, type Timed } from "./timeouts.ts";

/** Answers writes. */
export interface Writes {
  write(op: Operation, answer: (result: Result) => void): void;
}

/** A deletion is remembered for at least this long, unless its namespace says otherwise. */
export const TOMBSTONE_MS = 120_000;

const NO_TAGS: readonly number[] = [];

type Answer = (result: Result) => void;

/** Makes the write path of a node. */
export function createWrites(core: Core): Writes {
  /** Writes that wait for a conditional write of the same key. */
  const locked = new Map<string, (() => void)[]>();
  const timeouts = createTimeouts(core.clock, COPIES_MS);
  const waits = createWaits(core.clock);

  function write(op: Operation, answer: Answer): void {
    const waiting = locked.size > 0 ? locked.get(textOf(op.key)) : undefined;
    if (waiting !== undefined) {
      const copy = { ...op, key: Buffer.from(op.key), value: Buffer.from(op.value) };
      waiting.push(() => write(copy, answer));
      return;
    }
    if (op.deadline !== 0 && core.clock.now() > op.deadline) {
      return answer(result({ id: op.id, status: Status.UNAVAILABLE, message: "the write came too late" }));
    }
    const slot = slotOf(op.key);
    const place = core.ring().place(slot, core.self);
    if (place === -1 || (place > 0 && !op.standIn)) return answer(notOwner(core, op, slot));
    core.counts.writes++;
    const namespace = core.namespaces.of(op.key) as Namespace;
    if (op.kind === OperationKind.TOUCH) return touch(op, slot, namespace, answer);
    const level = ackLevel(op, namespace);
    if (op.leaseToken !== 0) return writeUnderLease(op, slot, namespace, level, answer);
    if (op.ifVersion !== 0 || op.ifAbsent) return conditional(op, slot, namespace, undefined, answer);
    plain(op, slot, changeOf(op, namespace, 0), level, answer);
  }

  function writeUnderLease(
    op: Operation,
    slot: number,
    namespace: Namespace,
    level: AckLevel,
    answer: Answer,
  ): void {
    const lease = core.leases.find(op.key, op.leaseToken);
    if (lease === undefined || core.tags.check(tagHashes(op, namespace), lease.token) !== "valid") {
      core.counts.conflicts++;
      core.leases.end(op.key);
      return answer(
        result({
          id: op.id,
          status: Status.CONFLICT,
          message: "the lease is void: the key changed, or time ran out",
        }),
      );
    }
    if (level === "one") return plain(op, slot, changeOf(op, namespace, loadMs(lease)), level, answer);
    conditional(op, slot, namespace, lease, answer);
  }

  function plain(op: Operation, slot: number, change: Change, level: AckLevel, answer: Answer): void {
    const applied = core.applyHere(change);
    if (applied !== "applied")
      return answer(result({ id: op.id, status: Status.EXHAUSTED, message: "the entry does not fit" }));
    copyToOthers(core, waits, slot, change, level, (copies) =>
      answer(written(core, op, change.version, copies, level)),
    );
  }

  function touch(op: Operation, slot: number, namespace: Namespace, answer: Answer): void {
    const found = servable(core, op.key);
    if (found === undefined) return answer(result({ id: op.id, status: Status.MISS }));
    const { columns, arena } = core.store;
    const at = columns.address[found.id] as number;
    const change: Change = {
      ...changeOf(op, namespace, columns.loadMs[found.id] as number),
      value: Buffer.from(arena.valueAt(at)),
      tags: arena.tagsAt(at),
      encoding: arena.encodingAt(at),
    };
    plain(op, slot, change, ackLevel(op, namespace), answer);
  }

  function conditional(
    op: Operation,
    slot: number,
    namespace: Namespace,
    lease: Lease | undefined,
    answer: Answer,
  ): void {
    const refuse = (status: Status, message: string) => {
      if (status === Status.CONFLICT) core.counts.conflicts++;
      else core.counts.unavailable++;
      if (lease !== undefined) core.leases.end(op.key);
      answer(result({ id: op.id, status, version: visible(), message }));
    };
    const visible = () => {
      const found = servable(core, op.key);
      return found === undefined ? 0 : (core.store.columns.version[found.id] as number);
    };
    const confirmer = confirming(core, slot);
    if (confirmer === undefined) {
      return refuse(Status.UNAVAILABLE, "the replica in the ring cannot confirm a conditional write now");
    }
    const holds = lease !== undefined || (op.ifAbsent ? visible() === 0 : visible() === op.ifVersion);
    if (!holds) return refuse(Status.CONFLICT, "the entry has another version");

    const id = core.store.find(op.key);
    const base = id === -1 ? 0 : (core.store.columns.version[id] as number);
    const change = changeOf(op, namespace, lease === undefined ? 0 : loadMs(lease));
    if (confirmer === "alone") return plain(op, slot, change, "one", answer);

    const { ringDigest: digest } = confirmer;
    const text = textOf(op.key);
    locked.set(text, []);
    const finish = (isConfirmed: boolean, isRefused: boolean) => {
      timeouts.remove(timed);
      const waiting = locked.get(text) ?? [];
      locked.delete(text);
      if (isRefused) refuse(Status.CONFLICT, "the replica has a newer version");
      else complete(isConfirmed && confirmer.ringDigest === digest && digest === core.ring().digest);
      for (const next of waiting) next();
    };
    const complete = (isSure: boolean) => {
      // The replica has it, or may have it: then this node must have it too.
      if (core.applyHere(change) !== "applied")
        return refuse(Status.CONFLICT, "a newer version came meanwhile");
      if (!isSure) return refuse(Status.UNAVAILABLE, "the ring changed during a conditional write");
      tellOthers(core, slot, confirmer, { kind: "append", change, condition: undefined, isLive: true });
      answer(written(core, op, change.version, 2, "two"));
    };
    const settle = once(finish);
    const timed: Timed = { timedOut: () => settle(false, false) };
    timeouts.add(timed);
    const frame: Frame = { kind: "append", change, condition: base, isLive: true };
    confirmer.append(frame, core.store.seq + 1, {
      applied: () => settle(true, false),
      refused: () => settle(false, true),
      lost: () => settle(false, false),
    });
  }

  function loadMs(lease: Lease): number {
    return Math.max(1, Math.round(core.clock.monotonic() - lease.grantedAt));
  }

  function changeOf(op: Operation, namespace: Namespace, loadMs: number): Change {
    const isDelete = op.kind === OperationKind.DELETE;
    const now = core.clock.now();
    return {
      key: op.key,
      value: isDelete ? undefined : op.value,
      version: core.versions.next(),
      expireAt: isDelete ? now + namespace.tombstoneMs : op.ttlMs === 0 ? Infinity : now + op.ttlMs,
      graceMs: isDelete ? 0 : op.graceMs,
      tags: tagHashes(op, namespace),
      encoding: op.encoding,
      space: namespace.space,
      loadMs,
    };
  }

  return { write };
}

/** Sends a confirmed write to the owners that did not have to confirm it. */
function tellOthers(core: Core, slot: number, confirmer: Sender, frame: Frame): void {
  for (const node of ownersOf(core.ring(), slot)) {
    const sender = core.sender(node);
    if (sender !== confirmer) sender?.append(frame, core.store.seq);
  }
}

/** The replica that has to confirm a conditional write; "alone" if the ring is this node only; undefined under doubt. */
function confirming(core: Core, slot: number): Sender | "alone" | undefined {
  const ring = core.ring();
  if (ring.place(slot, core.self) !== 0 || !core.warm.has(slot)) return undefined;
  if (ring.members.length === 1) return "alone";
  const sender = core.sender(ring.owners(slot)[1] ?? "");
  if (ring.replicas < 2 || sender?.isAvailable() !== true) return undefined;
  return sender.ringDigest === ring.digest ? sender : undefined;
}

function written(core: Core, op: Operation, version: number, copies: number, level: AckLevel): Result {
  const isEnough = copies >= 2 || level !== "two" || core.ring().replicas < 2;
  if (!isEnough) core.counts.unavailable++;
  return result({
    id: op.id,
    status: isEnough ? Status.OK : Status.UNAVAILABLE,
    version,
    copies,
    message: isEnough ? "" : "one node has applied the write, and no other in time",
  });
}

function ackLevel(op: Operation, namespace: Namespace): AckLevel {
  if (op.ack === Ack.ONE) return "one";
  if (op.ack === Ack.TWO) return "two";
  return op.ack === Ack.AVAILABLE ? "available" : namespace.ack;
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

function tagHashes(op: Operation, namespace: Namespace): readonly number[] {
  return op.tags.length === 0 ? NO_TAGS : op.tags.map((tag) => hash53(`${namespace.name}:${tag}`));
}
