/**
 * The cache tier as one process reaches it: knows the ring, keeps a connection to each node, and finds a node that
 * answers. A node that is gone costs one failed attempt, not the operation.
 */
import { OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { systemClock, type Clock } from "../clock.ts";
import type { Resolver } from "../registry/instances.ts";
import { servedCall } from "../rpc/context.ts";
import { createHedgeBudget } from "./hedge.ts";
import { createHotList } from "./hot-list.ts";
import { CACHE_SERVICE, watchMembership, type Membership } from "./members.ts";
import type { CacheMetrics } from "./metrics.ts";
import { createNearCache } from "./near.ts";
import { createNodeConnection, type NodeConnection } from "./node-connection.ts";
import { startRoute, type Surroundings } from "./route.ts";
import { result, type Operation, type Result } from "./session-codec.ts";
import { SLOT_COUNT, slotOf } from "./slots.ts";

/** Options of a tier. */
export interface CacheTierOptions {
  /** Finds the nodes: instances of `heddle.cache.v1.CacheService`. */
  readonly resolver: Resolver;
  /** Copies of each entry. Default 2; the same as on the nodes. */
  readonly replicas?: number;
  /** Bytes of answers that this process keeps for hot keys, and for caches with `nearMs`. Default 16 MiB. */
  readonly nearBytes?: number;
  /** Counts what near copies and second requests save. */
  readonly metrics?: CacheMetrics;
  readonly clock?: Clock;
}

/** How an operation may be answered. */
export interface ExecuteOptions {
  /**
   * `primary`: by the node that takes the writes, for as long as that answers: reads are linearizable per key on a stable
   * ring. `session`: also by a replica, if the primary is slow or the key is hot, or by a copy in this process; this
   * process then sees at least what it wrote and read before. Default: `primary`.
   */
  readonly reads?: "primary" | "session";
  /** How long the answer may be kept in this process and given again, with `session`. Default 0: only hot keys are. */
  readonly nearMs?: number;
}

/** The cache tier. */
export interface CacheTier {
  /**
   * Executes an operation on the node that owns its key, or on one that stands in for it, within `timeoutMs` and the
   * deadline of the call being served. Never rejects: UNAVAILABLE with a message if no node answers. The operation is the
   * tier's until then.
   */
  execute(op: Operation, timeoutMs: number, options?: ExecuteOptions): Promise<Result>;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** Nodes end a stream, with all that is on the way, for a message that is too long: such an operation is not sent. */
const MAX_OPERATION_BYTES = 2 * 1024 * 1024;
/** What an operation waits for the first membership at most. */
const FIRST_MEMBERSHIP_MS = 100;
/** A node that left the ring is still listened to for so long: one that drains answers what it was asked. */
const LINGER_MS = 1200;
const NEAR_BYTES = 16 * 1024 * 1024;
/** How long the answer for a hot key is kept. */
const HOT_KEEP_MS = 250;

/** Joins the tier. Nothing is dialled before it is needed. */
export function createCacheTier(options: CacheTierOptions): CacheTier {
  const { resolver, replicas = 2, metrics, clock = systemClock } = options;
  const connections = new Map<string, NodeConnection>();
  const near = createNearCache(options.nearBytes ?? NEAR_BYTES, clock);
  const hot = createHotList(clock);
  const budget = createHedgeBudget();
  /** The greatest version of each slot that this process has seen. */
  const seen = new Float64Array(SLOT_COUNT);
  const closing = new AbortController();
  let membership: Membership | undefined;
  const watching = watchMembership(resolver.watch(CACHE_SERVICE), replicas, closing.signal, (next) => {
    membership = next;
    near.clear();
    const addresses = new Set(next.ring.members.map(({ id }) => id));
    for (const [address, connection] of connections) {
      if (addresses.has(address)) continue;
      connections.delete(address);
      clock.after(LINGER_MS, () => connection.close());
    }
  });

  function connectionTo(address: string): NodeConnection {
    let known = connections.get(address);
    if (known === undefined) connections.set(address, (known = createNodeConnection(address, clock, near)));
    return known;
  }

  /** What a replica is asked: it may answer if it has all that this process knows of, but not say who loads. */
  function forReplica(op: Operation, slot = slotOf(op.key)): Operation {
    const minVersion = Math.max(op.minVersion, seen[slot] as number);
    return { ...op, lease: false, waitMs: 0, standIn: true, minVersion };
  }

  const strict: Surroundings = { clock, connectionTo };
  const relaxed: Surroundings = {
    clock,
    connectionTo,
    hedge(op) {
      if (op.kind !== OperationKind.GET || !budget.spend()) return undefined;
      metrics?.hedged();
      return forReplica(op);
    },
  };

  function execute(op: Operation, timeoutMs: number, { reads, nearMs = 0 }: ExecuteOptions): Promise<Result> {
    const isRead = op.kind === OperationKind.GET;
    if (isRead && reads === "session") return readNear(op, timeoutMs, nearMs);
    if (!isRead) near.drop(op.key);
    const slot = slotOf(op.key);
    return send(strict, op, slot, ownersOf(slot), timeoutMs);
  }

  function readNear(op: Operation, timeoutMs: number, nearMs: number): Promise<Result> {
    const copy = near.find(op.key);
    if (copy !== undefined) {
      metrics?.nearHit();
      return Promise.resolve(copy);
    }
    budget.earn();
    const isHot = hot.has(op.key);
    op.near = isHot || nearMs > 0;
    const slot = slotOf(op.key);
    const owners = ownersOf(slot);
    if (!isHot) return send(relaxed, op, slot, owners, timeoutMs, nearMs);
    const keepMs = Math.max(HOT_KEEP_MS, nearMs);
    // Who loads is decided by the primary alone.
    if (op.lease || replicas < 2) return send(relaxed, op, slot, owners, timeoutMs, keepMs);
    return send(relaxed, forReplica(op, slot), slot, idlestFirst(owners), timeoutMs, keepMs);
  }

  function ownersOf(slot: number): readonly string[] {
    return membership?.ring.owners(slot) ?? [];
  }

  /** Whichever of primary and first replica has less to do comes first. */
  function idlestFirst(owners: readonly string[]): readonly string[] {
    const [first, second, ...others] = owners;
    if (first === undefined || second === undefined) return owners;
    return connectionTo(second).inFlight < connectionTo(first).inFlight ? [second, first, ...others] : owners;
  }

  function send(
    around: Surroundings,
    op: Operation,
    slot: number,
    owners: readonly string[],
    timeoutMs: number,
    keepMs = 0,
  ): Promise<Result> {
    const leftMs = (servedCall()?.deadline ?? Infinity) - clock.now();
    return new Promise((resolve) => {
      startRoute(around, op, owners, Math.min(timeoutMs, leftMs), (answer, node) => {
        if (answer.version > (seen[slot] as number)) seen[slot] = answer.version;
        if (answer.hot) hot.add(op.key);
        // In the turn of the answer: what the node says next may concern it.
        if (keepMs > 0 && op.near && answer.status === Status.OK)
          near.keep(node as string, op.key, answer, keepMs);
        resolve(answer);
      });
    });
  }

  /** At start the registry may not have answered yet; a caller does not wait longer for it than it would for a node. */
  async function firstMembership(timeoutMs: number): Promise<void> {
    const signal = AbortSignal.timeout(Math.min(timeoutMs, FIRST_MEMBERSHIP_MS));
    await resolver.ready(CACHE_SERVICE, signal).catch(() => undefined);
    await Promise.resolve();
  }

  return {
    execute(op, timeoutMs, how = {}) {
      const bytes = bytesOf(op);
      if (bytes > MAX_OPERATION_BYTES) {
        const message = `the operation has ${bytes} bytes; the most are ${MAX_OPERATION_BYTES}`;
        return Promise.resolve(result({ status: Status.INVALID, message }));
      }
      if (membership !== undefined) return execute(op, timeoutMs, how);
      return firstMembership(timeoutMs).then(() => execute(op, timeoutMs, how));
    },
    async close() {
      closing.abort();
      for (const connection of connections.values()) connection.close();
      await watching;
    },
  };
}

function bytesOf({ key, value, tags }: Operation): number {
  return tags.reduce((sum, tag) => sum + Buffer.byteLength(tag), key.length + value.length);
}
