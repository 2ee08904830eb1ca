/**
 * Keeps writes waiting, first come first served, while the group has no primary, instead of failing them: a new primary
 * is there within seconds. The wait has an end, and so has the queue. A new primary is not flooded by those who waited:
 * they go on to wait for its few connections, in the same order.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import type { Clock } from "../clock.ts";
import { rpcError } from "../errors.ts";
import { servedCall } from "../rpc/context.ts";
import type { Monitor } from "./monitor.ts";
import { whyNoWriter, type Topology } from "./topology.ts";

/** What a hold needs. */
export interface HoldOptions {
  readonly monitor: Monitor;
  /** Most that may wait. */
  readonly max: number;
  readonly clock: Clock;
}

/** Leave to use the primary. */
export interface Turn {
  /** The primary, `host:port`. */
  readonly writer: string;
  /** Whether there was none at first: others have waited too, and all want a connection now. */
  readonly hasWaited: boolean;
}

/** The queue. */
export interface Hold {
  /** How many wait. */
  readonly length: number;
  /** How long the first in the queue has waited; 0 if nobody waits. */
  oldestMs(): number;
  /**
   * Waits for a primary until `until` (wall clock, milliseconds), or until the call being served is given up. Rejects
   * with UNAVAILABLE and reason NO_PRIMARY or HOLD_QUEUE_FULL, or with DATABASE_REFUSED if no member lets the account in.
   */
  enter(until: number): Promise<Turn>;
  /** Refuses everybody who waits. */
  close(): void;
}

/** Makes a hold. */
export function createHold(options: HoldOptions): Hold {
  return new HoldQueue(options);
}

interface Waiter {
  readonly since: number;
  readonly admit: (turn: Turn) => void;
  readonly refuse: (error: Error) => void;
}

class HoldQueue implements Hold {
  readonly #options: HoldOptions;
  readonly #waiters = new Set<Waiter>();
  readonly #unwatch: () => void;

  constructor(options: HoldOptions) {
    this.#options = options;
    this.#unwatch = options.monitor.watch((topology) => this.#changed(topology));
  }

  get length(): number {
    return this.#waiters.size;
  }

  oldestMs(): number {
    const first = this.#waiters.values().next().value;
    return first === undefined ? 0 : this.#options.clock.now() - first.since;
  }

  enter(until: number): Promise<Turn> {
    const { monitor, max, clock } = this.#options;
    const { writer, refusal } = monitor.topology;
    if (writer !== undefined) return Promise.resolve({ writer, hasWaited: false });
    if (refusal !== undefined) return Promise.reject(refused(refusal));
    if (this.#waiters.size >= max) return Promise.reject(queueFull(max));
    const signal = servedCall()?.signal;
    return new Promise((resolve, reject) => {
      const settle = () => {
        cancel();
        signal?.removeEventListener("abort", abandon);
        this.#waiters.delete(waiter);
      };
      const since = clock.now();
      const waiter: Waiter = {
        since,
        admit(turn) {
          settle();
          resolve(turn);
        },
        refuse(error) {
          settle();
          reject(error);
        },
      };
      const cancel = clock.after(Math.max(0, until - since), () =>
        waiter.refuse(noPrimary(monitor.topology, clock.now() - since)),
      );
      const abandon = () => waiter.refuse(signal?.reason as Error);
      signal?.addEventListener("abort", abandon);
      this.#waiters.add(waiter);
      if (signal?.aborted === true) abandon();
    });
  }

  close(): void {
    this.#unwatch();
    for (const waiter of this.#waiters) {
      waiter.refuse(rpcError(Code.Unavailable, Reason.NO_PRIMARY, "the database is being closed"));
    }
  }

  #changed({ writer, refusal }: Topology): void {
    for (const waiter of this.#waiters) {
      if (writer !== undefined) waiter.admit({ writer, hasWaited: true });
      else if (refusal !== undefined) waiter.refuse(refused(refusal));
    }
  }
}

/** What `RetryInfo` tells callers: a new primary is usually there by then. */
const RETRY_AFTER_MS = 1000;

function noPrimary(topology: Topology, waitedMs: number): ConnectError {
  const waited = `${(waitedMs / 1000).toFixed(1)} s`;
  const message = `the MySQL group has had no primary for ${waited}: ${whyNoWriter(topology)}`;
  return rpcError(Code.Unavailable, Reason.NO_PRIMARY, message, { retryAfterMs: RETRY_AFTER_MS });
}

function queueFull(max: number): ConnectError {
  const message = `the MySQL group has no primary, and ${max} calls wait for one already`;
  return rpcError(Code.Unavailable, Reason.HOLD_QUEUE_FULL, message, { retryAfterMs: RETRY_AFTER_MS });
}

/** No member lets the account in, or the schema is not there. */
export function refused(why: string): ConnectError {
  return rpcError(Code.Internal, Reason.DATABASE_REFUSED, `the database refuses this service: ${why}`);
}
