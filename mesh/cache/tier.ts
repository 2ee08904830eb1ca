/**
 * The cache tier as one process reaches it: knows the ring, keeps a connection to each node, and finds a node that
 * answers. A node that is gone costs one failed attempt, not the operation.
 */
import { OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { systemClock, type Clock } from "../clock.ts";
import type { Resolver } from "../registry/instances.ts";
import { servedCall } from "../rpc/context.ts";
import { CACHE_SERVICE, watchMembership, type Membership } from "./members.ts";
import { createNodeConnection, Unreachable, type NodeConnection } from "./node-connection.ts";
import { result, type Operation, type Result } from "./session-codec.ts";
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
   * deadline of the call being served. Never rejects: UNAVAILABLE with a message if no node answers.
   */
  execute(op: Operation, timeoutMs: number): Promise<Result>;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** A read is tried at the next node after this long without an answer. */
const READ_ATTEMPT_MS = 100;
/** A write waits up to a second for its copies; a node that says nothing by then is gone. */
const WRITE_ATTEMPT_MS = 1200;
/** How often an operation follows NOT_OWNER: rings differ for moments only, but a moment may be half a second. */
const MAX_REDIRECTS = 20;
/** From the second time on it waits so long, times the number of redirects. */
const REDIRECT_DELAY_MS = 5;

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
      // What it was asked is answered yet: a node that drains still answers.
      clock.after(WRITE_ATTEMPT_MS, () => connection.close());
    }
  });

  function connectionTo(address: string): NodeConnection {
    const known = connections.get(address) ?? createNodeConnection(address, clock);
    connections.set(address, known);
    return known;
  }

  async function execute(op: Operation, timeoutMs: number): Promise<Result> {
    const leftMs = (servedCall()?.deadline ?? Infinity) - clock.now();
    const dueAt = clock.monotonic() + Math.min(timeoutMs, leftMs);
    const owners = membership?.ring.owners(slotOf(op.key)) ?? [];
    let queue = [...owners];
    let redirects = 0;
    let coldest: string | undefined;
    let problem = "no cache node is known";
    let standIn = false;
    for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
      const remainingMs = dueAt - clock.monotonic();
      if (remainingMs <= 0) break;
      const attemptMs = Math.min(remainingMs, attemptLimitMs(op, queue.length > 0));
      let answer: Result;
      try {
        answer = await connectionTo(address).execute(
          { ...op, standIn, deadline: deadlineOf(op, attemptMs) },
          attemptMs,
        );
      } catch (error) {
        problem = (error as Error).message;
        if (isConditional(op) && !(error instanceof Unreachable && !error.maybeExecuted)) break;
        standIn = true;
        continue;
      }
      if (answer.status === Status.WARMING) {
        coldest ??= address;
        problem = "the nodes that own the key are being filled";
        continue;
      }
      if (answer.status === Status.NOT_FRESH) {
        problem = "no copy is as fresh as asked";
        continue;
      }
      if (answer.status !== Status.NOT_OWNER) return answer;
      problem = "the nodes do not agree on who owns the key";
      if (redirects++ >= MAX_REDIRECTS) break;
      queue = [...answer.owners];
      standIn = false;
      if (redirects > 1) await delay(clock, REDIRECT_DELAY_MS * redirects);
    }
    return coldest === undefined ? unavailable(problem) : askCold(op, coldest, dueAt - clock.monotonic());
  }

  /** A write that waits in a node which stands still must not happen once it was given to another one. */
  function deadlineOf(op: Operation, attemptMs: number): number {
    return op.kind === OperationKind.GET ? 0 : Math.ceil(clock.now() + attemptMs);
  }

  /** Nobody else has it either: the node that owns the key may say so. */
  async function askCold(op: Operation, address: string, remainingMs: number): Promise<Result> {
    try {
      return await connectionTo(address).execute(
        { ...op, cold: true, standIn: true },
        Math.max(1, remainingMs),
      );
    } catch (error) {
      return unavailable((error as Error).message);
    }
  }

  return {
    async execute(op, timeoutMs) {
      if (membership === undefined) await firstMembership(timeoutMs);
      return execute(op, timeoutMs);
    },
    async close() {
      closing.abort();
      for (const connection of connections.values()) connection.close();
      await watching;
    },
  };

  /** At start the registry may not have answered yet; a caller does not wait longer for it than it would for a node. */
  async function firstMembership(timeoutMs: number): Promise<void> {
    const signal = AbortSignal.timeout(Math.min(timeoutMs, READ_ATTEMPT_MS));
    await resolver.ready(CACHE_SERVICE, signal).catch(() => undefined);
    await Promise.resolve();
  }
}

function attemptLimitMs(op: Operation, hasOthers: boolean): number {
  if (!hasOthers) return Infinity;
  return op.kind === OperationKind.GET ? READ_ATTEMPT_MS + op.waitMs : WRITE_ATTEMPT_MS;
}

/** Whether executing it twice differs from executing it once. */
function isConditional(op: Operation): boolean {
  return op.ifAbsent || op.ifVersion !== 0 || op.leaseToken !== 0;
}

function unavailable(message: string): Result {
  return result({ status: Status.UNAVAILABLE, message });
}

function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}
