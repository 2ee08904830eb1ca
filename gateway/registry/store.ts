/**
 * Where a registry keeps who is alive. Gateways that share a store share one view. Every write is atomic, gets the next
 * revision if it changes anything that others can see, and is safe to repeat.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";

/** A lease without a beat ends after this long, unless configured or asked for by the instance. */
export const DEFAULT_LEASE_MS = 15_000;

/** The shortest lease that an instance may ask for; `Instance.lease_ttl` has the same bound. */
export const MIN_LEASE_MS = 3000;

/** How long an instance is believed without a beat: what it asks for, else what its registry has configured. */
export const leaseMsOf = ({ leaseTtl }: Instance, configuredMs: number): number =>
  leaseTtl === undefined ? configuredMs : durationMs(leaseTtl);

/** A beat is due each third of the lease, so that two may be lost. */
export const beatIntervalMs = (leaseMs: number): number => leaseMs / 3;

/** Without a beat for half of the lease, one is missing for certain: the instance is suspect. */
export const suspectAfterMs = (leaseMs: number): number => leaseMs / 2;

/** Where nothing was reaped for this long, nobody was there to take beats: the lease begins anew instead of ending. */
export const unattendedAfterMs = (leaseMs: number): number => leaseMs / 3;

/** How often ended leases are looked for: the shortest must end on time as well. */
export const reapIntervalMs = (leaseMs: number): number => Math.min(leaseMs, MIN_LEASE_MS) / 15;

/** Changes that a store remembers, for those who follow it. */
export const DELTA_LOG_LENGTH = 10_000;

/** What is written. */
export type Command =
  /** Puts in an instance, or what is new about it, and starts its lease. It is not suspect (any more). */
  | { readonly kind: "register"; readonly instance: Instance }
  /** Renews a lease. */
  | { readonly kind: "beat"; readonly instanceId: string; readonly incarnation: bigint }
  /** Its session broke. */
  | { readonly kind: "suspect"; readonly instanceId: string; readonly incarnation: bigint }
  /** It said goodbye. */
  | { readonly kind: "deregister"; readonly instanceId: string; readonly incarnation: bigint }
  /** Removes instances whose lease has ended, and marks those whose beat is overdue. Any gateway may, at any time. */
  | { readonly kind: "reap" };

/** `unknown`: there is no such instance (any more). `stale`: a younger incarnation of it is there; nothing was done. */
export type Outcome = "done" | "unknown" | "stale";

/** How many changes there have been since the store began. Another epoch means that it began anew. */
export interface Revision {
  readonly epoch: string;
  readonly number: number;
}

/** What became of a command, and the revision after it. */
export interface Written {
  readonly outcome: Outcome;
  readonly revision: Revision;
}

/** One change. Numbers grow by one. */
export type Change =
  | { readonly number: number; readonly kind: "upsert"; readonly instance: Instance }
  | {
      readonly number: number;
      readonly kind: "remove";
      readonly instanceId: string;
      /** It said goodbye; otherwise its lease ended. */
      readonly deregistered: boolean;
    };

/** Everything that there is. */
export interface Snapshot {
  readonly revision: Revision;
  readonly instances: readonly Instance[];
}

/** Keeps instances and their leases. Every method throws UNAVAILABLE, reason STORE_UNAVAILABLE, while it cannot. */
export interface Store {
  write(command: Command): Promise<Written>;
  snapshot(): Promise<Snapshot>;
  /**
   * The changes after a revision, in order. Waits for one, and may give up after a second or so with none. Undefined
   * where they are no longer known, because they are too many or the store began anew: then take a snapshot.
   */
  changes(after: Revision, signal: AbortSignal): Promise<readonly Change[] | undefined>;
  close(): Promise<void>;
}

/** `epoch/number`, as callers see it. */
export function formatRevision({ epoch, number }: Revision): string {
  return `${epoch}/${number}`;
}
