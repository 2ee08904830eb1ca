/**
 * Who loads what is missing: one caller at a time for each key, the others wait for it or take what is stale. A change
 * of the key voids its lease, so that a loader that read the source before the change cannot put the old value back.
 * (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, §3.2.1.)
 */
import type { Clock } from "../mesh/clock.ts";

/** A lease that is held. */
export interface Lease {
  /** A version of the time it was given: what is invalidated after that is not covered. */
  readonly token: number;
  /** Version of the entry that is to be replaced; 0 for none. */
  readonly base: number;
  readonly grantedAt: number;
}

/** The leases of a node. They live in memory only: with the node they are void. */
export interface Leases {
  readonly size: number;
  /** Gives a lease unless one is held already, or there are too many. */
  grant(key: Uint8Array, base: number, token: number): Lease | undefined;
  /** The lease of a key if it has this token. */
  find(key: Uint8Array, token: number): Lease | undefined;
  isHeld(key: Uint8Array): boolean;
  /** Calls `wake` when the lease of the key ends in any way, or after `waitMs`. False: too many wait already. */
  park(key: Uint8Array, waitMs: number, wake: () => void): boolean;
  /** Ends the lease of a key, if there is one, and wakes all who wait for it. */
  end(key: Uint8Array): void;
  clear(): void;
}

/** How long a loader may take. */
export const LEASE_MS = 10_000;
const MAX_LEASES = 65_536;
const MAX_PARKED = 10_000;

interface Held extends Lease {
  readonly waiting: Set<() => void>;
  readonly cancel: () => void;
}

/** Makes an empty table of leases. */
export function createLeases(clock: Clock): Leases {
  const held = new Map<string, Held>();
  const name = (key: Uint8Array) => Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");

  function end(text: string): void {
    const lease = held.get(text);
    if (lease === undefined) return;
    held.delete(text);
    lease.cancel();
    for (const wake of lease.waiting) wake();
  }

  return {
    get size() {
      return held.size;
    },
    grant(key, base, token) {
      const text = name(key);
      if (held.has(text) || held.size >= MAX_LEASES) return undefined;
      const cancel = clock.after(LEASE_MS, () => end(text));
      const lease: Held = { token, base, grantedAt: clock.monotonic(), waiting: new Set(), cancel };
      held.set(text, lease);
      return lease;
    },
    find(key, token) {
      const lease = held.get(name(key));
      return lease?.token === token ? lease : undefined;
    },
    isHeld: (key) => held.size > 0 && held.has(name(key)),
    park(key, waitMs, wake) {
      const waiting = held.get(name(key))?.waiting;
      if (waiting === undefined || waiting.size >= MAX_PARKED) return false;
      const once = () => {
        cancel();
        waiting.delete(once);
        wake();
      };
      const cancel = clock.after(waitMs, once);
      waiting.add(once);
      return true;
    },
    end(key) {
      if (held.size > 0) end(name(key));
    },
    clear() {
      for (const text of held.keys()) end(text);
    },
  };
}

/**
 * Whether a reader should load anew before the value expires: the closer the end and the slower the loader, the likelier
 * (Vattani et al., "Optimal probabilistic cache stampede prevention", VLDB 2015, with β = 1).
 */
export function shouldRefresh(ttlLeftMs: number, loadMs: number, random: () => number): boolean {
  return loadMs > 0 && -loadMs * Math.log(1 - random()) >= ttlLeftMs;
}
