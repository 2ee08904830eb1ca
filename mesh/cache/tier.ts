/**
 * The cache tier as one process reaches it: knows the ring, keeps a connection to each node, and finds a node that
 * answers. A node that is gone costs one failed attempt, not the operation.
 */
import { systemClock, type Clock } from "../clock.ts";
import type { Resolver } from "../registry/instances.ts";
import { servedCall } from "../rpc/context.ts";
import { CACHE_SERVICE, watchMembership, type Membership } from "./members.ts";
import { createNodeConnection, type NodeConnection } from "./node-connection.ts";
import { startRoute } from "./route.ts";
import type { Operation, Result } from "./session-codec.ts";
import { slotOf } from "./slots.ts";

/** Options of a tier. */
export interface CacheTierOptions {
  /** Finds the nodes: instances of `heddle.cache.v1.CacheService`. */
  readonly resolver: Resolver;
  /** Copies of each entry. Default 2; the same as on the nodes. */
  readonly replicas?: number;
  readonly clock?: Clock;
}

/** The cache tier. */
export interface CacheTier {
  /**
   * Executes an operation on the node that owns its key, or on one that stands in for it, within `timeoutMs` and the
   * deadline of the call being served. Never rejects: UNAVAILABLE with a message if no node answers. The operation is the
   * tier's until then.
   */
  execute(op: Operation, timeoutMs: number): Promise<Result>;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** What an operation waits for the first membership at most. */
const FIRST_MEMBERSHIP_MS = 100;
/** A node that left the ring is still listened to for so long: one that drains answers what it was asked. */
const LINGER_MS = 1200;

/** Joins the tier. Nothing is dialled before it is needed. */
export function createCacheTier(options: CacheTierOptions): CacheTier {
  const { resolver, replicas = 2, clock = systemClock } = options;
  const connections = new Map<string, NodeConnection>();
  const closing = new AbortController();
  let membership: Membership | undefined;
  const watching = watchMembership(resolver.watch(CACHE_SERVICE), replicas, closing.signal, (next) => {
    membership = next;
    const addresses = new Set(next.ring.members.map(({ id }) => id));
    for (const [address, connection] of connections) {
      if (addresses.has(address)) continue;
      connections.delete(address);
      clock.after(LINGER_MS, () => connection.close());
    }
  });

  function connectionTo(address: string): NodeConnection {
    let known = connections.get(address);
    if (known === undefined) connections.set(address, (known = createNodeConnection(address, clock)));
    return known;
  }

  const around = { clock, connectionTo };

  function execute(op: Operation, timeoutMs: number): Promise<Result> {
    const leftMs = (servedCall()?.deadline ?? Infinity) - clock.now();
    const owners = membership?.ring.owners(slotOf(op.key)) ?? [];
    return new Promise((resolve) => {
      startRoute(around, op, owners, Math.min(timeoutMs, leftMs), resolve);
    });
  }

  /** At start the registry may not have answered yet; a caller does not wait longer for it than it would for a node. */
  async function firstMembership(timeoutMs: number): Promise<void> {
    const signal = AbortSignal.timeout(Math.min(timeoutMs, FIRST_MEMBERSHIP_MS));
    await resolver.ready(CACHE_SERVICE, signal).catch(() => undefined);
    await Promise.resolve();
  }

  return {
    execute(op, timeoutMs) {
      if (membership !== undefined) return execute(op, timeoutMs);
      return firstMembership(timeoutMs).then(() => execute(op, timeoutMs));
    },
    async close() {
      closing.abort();
      for (const connection of connections.values()) connection.close();
      await watching;
    },
  };
}
