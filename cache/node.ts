/**
 * A node of the cache tier without its sockets: clock, chance and transport are given, so that thousands of nodes can be
 * driven through faults in a test, from a seed.
 */
import { OperationKind, Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { hash53 } from "../mesh/cache/hash.ts";
import { result, type Operation, type Result } from "../mesh/cache/session-codec.ts";
import { SLOT_COUNT } from "../mesh/cache/slots.ts";
import { createRing, type Ring } from "../mesh/cache/ring.ts";
import { createVersionClock } from "../mesh/cache/version.ts";
import type { Clock, Random } from "../mesh/clock.ts";
import type { Core, NodeCounts } from "./core.ts";
import type { Hello, Inbound, Reply, Transport } from "./frames.ts";
import { createInvalidations, type Invalidated, type Invalidations } from "./invalidate.ts";
import { createHotKeys } from "./hot-keys.ts";
import { createLeases } from "./leases.ts";
import { read } from "./reads.ts";
import { hasSameOwners, isMember, isOwner, ownersOf } from "./ownership.ts";
import { createReceiver } from "./receiver.ts";
import { createNamespaces, namespaceOf, type AckLevel } from "./namespaces.ts";
import { appendOf } from "./records.ts";
import { createSender, type Sender } from "./sender.ts";
import { createSlotSet } from "./slot-set.ts";
import { createStore, MAX_KEY_BYTES } from "./store/store.ts";
import { createTagClocks } from "./tags.ts";
import { createUpkeep } from "./upkeep.ts";
import { createWrites, TOMBSTONE_MS } from "./writes.ts";

/** Options of a node. */
export interface NodeOptions {
  /** Stable name, the same after a restart. */
  readonly id: string;
  /** Makes a name that no start of any node had before. */
  newBootId(): string;
  readonly maxBytes: number;
  readonly namespaces: readonly {
    readonly name: string;
    readonly ack: AckLevel;
    readonly maxBytes: number;
    /** How long deletions are remembered, in ms. Default 120 000. */
    readonly tombstoneMs?: number;
  }[];
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** Address of a member for clients. Default: its id. */
  addressOf?(node: string): string;
}

/** A node. */
export interface CacheNode {
  readonly core: Core;
  readonly bootId: string;
  /** Executes an operation; `answer` is called once, perhaps at once. Views in the answer are valid during the call. */
  execute(op: Operation, answer: (result: Result) => void): void;
  /** Invalidates tags, given as hashes, on all nodes. */
  invalidate(tags: readonly number[], soft: boolean, done: (outcome: Invalidated) => void): void;
  /**
   * Calls back with the hash of each key that was read with `near` and has changed since; undefined: all keys may have.
   * Returns how to end that.
   */
  onNearChange(listener: (keyHash: number | undefined) => void): () => void;
  /** The ring has changed. */
  setRing(ring: Ring): void;
  /** Another node has opened a stream. Undefined: it must go, and come back later. */
  accept(hello: Hello, stream: { send(reply: Reply): void; close(): void }): Inbound | undefined;
  /** Whether all that this node holds is where it belongs by the ring, so that it may go. */
  isHandedOver(): boolean;
  close(): void;
}

/** Longest value in bytes. */
export const MAX_VALUE_BYTES = 1024 * 1024;
const MAX_TAGS = 8;
const MAX_INVALIDATED = 1000;

/** Makes a node that is in no ring yet. */
export function createCacheNode(options: NodeOptions): CacheNode {
  const { id: self, clock, random } = options;
  const versions = createVersionClock(clock);
  const leases = createLeases(clock);
  const senders = new Map<string, Sender>();
  const removed = new Map<string, { readonly at: number; readonly bootId: string | undefined }>();
  let ring = createRing([], 2);
  let bootId = options.newBootId();
  const counts: NodeCounts = {
    hits: 0,
    misses: 0,
    stale: 0,
    writes: 0,
    unavailable: 0,
    conflicts: 0,
    leases: 0,
    fromFuture: 0,
    auditAlarms: 0,
  };
  const store = createStore({
    maxBytes: options.maxBytes,
    quotas: [0, ...options.namespaces.map(({ maxBytes }) => maxBytes)],
    clock,
    mayForget: (entry) => isHeardOf(entry),
    onNear: (hash) => tellNear(hash),
  });
  const namespaces = createNamespaces(
    options.namespaces.map(({ name, ack, tombstoneMs = TOMBSTONE_MS }, index) => ({
      name,
      ack,
      tombstoneMs,
      space: index + 1,
    })),
  );
  const maxAbsenceMs = Math.min(...namespaces.all.map(({ tombstoneMs }) => tombstoneMs)) / 2;
  const nearListeners = new Set<(keyHash: number | undefined) => void>();
  const tellNear = (keyHash: number | undefined) => {
    for (const listener of nearListeners) listener(keyHash);
  };
  const core: Core = {
    self,
    store,
    versions,
    clock,
    random,
    leases,
    namespaces,
    maxAbsenceMs,
    counts,
    hotKeys: createHotKeys(clock),
    // Which copies have a tag only the node knows.
    tags: createTagClocks(() => tellNear(undefined)),
    warm: createSlotSet(),
    ring: () => ring,
    sender: (node) => senders.get(node),
    senders: () => senders.values(),
    addressOf: (node) => options.addressOf?.(node) ?? node,
    applyHere(change) {
      const applied = store.apply(change);
      if (applied === "applied") leases.end(change.key);
      return applied;
    },
  };
  const writes = createWrites(core);
  const invalidations = createInvalidations(core);
  const upkeep = createUpkeep(core, { warm: becameWarm, woke: catchUp });

  /** A deletion may be forgotten once every owner has applied it. */
  function isHeardOf(entry: number): boolean {
    const slot = store.columns.slot[entry] as number;
    return ownersOf(ring, slot).every(
      (node) => node === self || senders.get(node)?.hasApplied(store.columns.seq[entry] as number) === true,
    );
  }

  function hello(): Hello {
    return {
      node: self,
      bootId,
      ringDigest: ring.digest,
      version: versions.now(),
      mustDrop: false,
      warm: core.warm.bits.slice(),
      tagClocks: core.tags.all(),
      tagFloor: core.tags.floor,
    };
  }

  function connect(node: string): Sender {
    return createSender({
      maxAbsenceMs,
      node,
      store,
      clock,
      hello,
      transport: options.transport,
      belongs: (slot) => isOwner(ring, slot, node),
      ownWarm: () => core.warm.bits,
      onHello(theirs) {
        versions.hear(theirs.version);
        for (const tag of theirs.tagClocks) core.tags.apply(tag);
        core.tags.raiseFloor(theirs.tagFloor);
        if (theirs.mustDrop) dropAll();
        else upkeep.peerChanged();
      },
      onRing: () => upkeep.peerChanged(),
      onLongAbsence: () => upkeep.dropForeign(),
      onRaised: (tag) => invalidations.raised(tag),
    });
  }

  /** Starts anew, empty. */
  function dropAll(): void {
    bootId = options.newBootId();
    store.clear();
    leases.clear();
    for (let slot = 0; slot < SLOT_COUNT; slot++) core.warm.set(slot, false);
    upkeep.dropped();
    // The others must see the new boot id: what they hear acknowledged is gone.
    for (const stream of inbound) stream.close();
    inbound.clear();
    const names = [...senders.keys()];
    for (const sender of senders.values()) sender.close();
    for (const name of names) senders.set(name, connect(name));
  }

  /** Others may have taken writes in this node's place: it says nothing is missing until they have sent what it missed. */
  function catchUp(): void {
    upkeep.doubtAll();
    // A new stream begins with a sweep.
    for (const stream of inbound) stream.close();
    inbound.clear();
  }

  /** Streams on which this node receives; their senders hear of its ring and of what it is warm for. */
  const inbound = new Set<{ send(reply: Reply): void; close(): void }>();

  function announceRing(): void {
    const frame = { kind: "ring", digest: ring.digest, warm: core.warm.bits.slice() } as const;
    for (const stream of inbound) stream.send(frame);
  }

  function becameWarm(): void {
    announceRing();
    for (const sender of senders.values()) sender.announceWarm();
  }

  function setRing(next: Ring): void {
    const before = ring;
    ring = next;
    const members = new Set(next.members.map(({ id }) => id));
    for (const [node, sender] of senders) {
      if (members.has(node)) continue;
      // Who comes back and goes again without having been heard counts from the first time.
      if (!removed.has(node)) removed.set(node, { at: clock.monotonic(), bootId: sender.bootId });
      senders.delete(node);
      sender.close();
    }
    for (const node of members) if (node !== self && !senders.has(node)) senders.set(node, connect(node));
    fillMoved(before, next);
    upkeep.ringChanged(before, next);
    announceRing();
  }

  /** Every node sends what it holds of a slot with new owners to all of them: any of them may lack some of it. */
  function fillMoved(before: Ring, after: Ring): void {
    const moved = new Map<string, number[]>([...senders.keys()].map((node) => [node, []]));
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (hasSameOwners(before, after, slot)) continue;
      for (const node of ownersOf(after, slot)) moved.get(node)?.push(slot);
    }
    for (const [node, slots] of moved) senders.get(node)?.fill(slots);
  }

  function accept(from: Hello, stream: { send(reply: Reply): void; close(): void }): Inbound | undefined {
    const absence = removed.get(from.node);
    // It comes back empty: the others may have forgotten deletions that it missed.
    const isTooLate = absence !== undefined && clock.monotonic() - absence.at > maxAbsenceMs;
    if (isTooLate && (absence.bootId === undefined || absence.bootId === from.bootId)) {
      removed.set(from.node, { at: absence.at, bootId: from.bootId });
      stream.send({ kind: "hello", hello: { ...hello(), mustDrop: true } });
      return undefined;
    }
    if (absence !== undefined && isMember(ring, from.node)) removed.delete(from.node);
    inbound.add(stream);
    const receiver = createReceiver({
      core,
      from,
      hello,
      send: (reply) => inbound.has(stream) && stream.send(reply),
      pushBack(node, key) {
        const id = store.find(key);
        if (id !== -1) senders.get(node)?.append(appendOf(store, id), store.seq);
      },
      onWarm: becameWarm,
    });
    return {
      frame: (frame) => inbound.has(stream) && receiver.frame(frame),
      acknowledge: () => inbound.has(stream) && receiver.acknowledge(),
      lost: () => inbound.delete(stream),
    };
  }

  return {
    core,
    get bootId() {
      return bootId;
    },
    execute(op, answer) {
      const problem = problemOf(core, op);
      if (problem !== undefined)
        return answer(result({ id: op.id, status: Status.INVALID, message: problem }));
      if (op.kind === OperationKind.GET) read(core, op, answer);
      else if (op.kind === OperationKind.INVALIDATE) invalidateTags(core, invalidations, op, answer);
      else if (op.kind === OperationKind.RELEASE) answer(release(core, op));
      else writes.write(op, answer);
    },
    invalidate: (tags, soft, done) => invalidations.run(tags, soft, done),
    onNearChange(listener) {
      nearListeners.add(listener);
      return () => nearListeners.delete(listener);
    },
    setRing,
    accept,
    isHandedOver: () => [...senders.values()].every((sender) => sender.isSynced()),
    close() {
      upkeep.close();
      leases.clear();
      for (const sender of senders.values()) sender.close();
      senders.clear();
    },
  };
}

function invalidateTags(
  core: Core,
  invalidations: Invalidations,
  op: Operation,
  answer: (result: Result) => void,
): void {
  const name = namespaceOf(op.key) ?? "";
  const tags = op.tags.map((tag) => hash53(`${name}:${tag}`));
  invalidations.run(tags, op.stale, ({ applied, unreachable }) => {
    const status = unreachable.length === 0 ? Status.OK : Status.UNAVAILABLE;
    answer(result({ id: op.id, status, copies: applied.length, owners: unreachable.map(core.addressOf) }));
  });
}

function release(core: Core, op: Operation): Result {
  const isHeld = core.leases.find(op.key, op.leaseToken) !== undefined;
  if (isHeld) core.leases.end(op.key);
  return result({ id: op.id, status: isHeld ? Status.OK : Status.MISS });
}

/** What is wrong with an operation; undefined if nothing is. */
function problemOf(core: Core, op: Operation): string | undefined {
  if (op.key.length > MAX_KEY_BYTES)
    return `the key has ${op.key.length} bytes; the most are ${MAX_KEY_BYTES}`;
  if (core.namespaces.of(op.key) === undefined) return namespaceProblem(core, op.key);
  if (op.value.length > MAX_VALUE_BYTES)
    return `the value has ${op.value.length} bytes; the most are ${MAX_VALUE_BYTES}`;
  const isInvalidation = op.kind === OperationKind.INVALIDATE;
  if (isInvalidation && op.tags.length > MAX_INVALIDATED) {
    return `there are ${op.tags.length} tags; the most are ${MAX_INVALIDATED}`;
  }
  if (!isInvalidation && op.tags.length > MAX_TAGS)
    return `the entry has ${op.tags.length} tags; the most are ${MAX_TAGS}`;
  if (op.encoding > 255) return `the encoding is ${op.encoding}; the greatest is 255`;
  if (op.kind < OperationKind.GET || op.kind > OperationKind.RELEASE)
    return `there is no operation of kind ${op.kind}`;
  return undefined;
}

function namespaceProblem({ namespaces }: Core, key: Uint8Array): string {
  const name = namespaceOf(key);
  if (name === undefined) return "the key has no namespace; write namespace:key";
  return `there is no namespace "${name}"; there are: ${namespaces.all.map((each) => each.name).join(", ")}`;
}
