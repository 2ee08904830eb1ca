/**
 * Follows a store: a snapshot, then its changes, without end. Takes another snapshot whenever changes were missed, the
 * store began anew or went back (a failover that lost writes), and every half minute in case of anything unforeseen.
 */
import { sleep, type Clock, type Random } from "../../mesh/clock.ts";
import { reconnectDelayMs } from "../../mesh/registry/backoff.ts";
import type { Change, Revision, Snapshot, Store } from "./store.ts";

/** A snapshot is taken at least this often (anti-entropy). */
export const RESYNC_MS = 30_000;

/** Hears what the store says. */
export interface StoreListener {
  /** The store answers again, or for the first time: runs before the snapshot. */
  connected(): Promise<void>;
  snapshot(snapshot: Snapshot): void;
  changes(changes: readonly Change[], revision: Revision): void;
  /** The store does not answer. Called for every failed attempt. */
  failed(error: unknown): void;
}

/** A running follower. */
export interface Follower {
  /**
   * Call it when a write is sent, and what it returns with the revision that the write was answered with: if that is
   * older than what was followed before, or of another epoch, a snapshot is due.
   */
  expect(): (answer: Revision) => void;
}

/** What a follower needs besides its store. */
export interface FollowOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Begins to follow. */
export function follow(store: Store, listener: StoreListener, options: FollowOptions): Follower {
  const { clock, random, signal } = options;
  let at: Revision | undefined;
  let snapshotAtMs = 0;
  let failures = 0;
  let connected = false;
  let interruption = new AbortController();
  let waiting = AbortSignal.any([signal, interruption.signal]);

  const step = async (): Promise<void> => {
    if (at === undefined || clock.monotonic() - snapshotAtMs >= RESYNC_MS) {
      if (!connected) await listener.connected();
      const snapshot = await store.snapshot();
      connected = true;
      failures = 0;
      at = snapshot.revision;
      snapshotAtMs = clock.monotonic();
      listener.snapshot(snapshot);
    }
    const from = at;
    const changes = await store.changes(from, waiting);
    const last = changes?.at(-1);
    at = changes === undefined ? undefined : { ...from, number: last?.number ?? from.number };
    if (changes !== undefined && at !== undefined) listener.changes(changes, at);
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await step();
      } catch (error) {
        if (signal.aborted) return;
        at = undefined;
        if (interruption.signal.aborted) {
          interruption = new AbortController();
          waiting = AbortSignal.any([signal, interruption.signal]);
          continue;
        }
        connected = false;
        failures += 1;
        listener.failed(error);
        await sleep(reconnectDelayMs(failures, random), signal, clock).catch(() => undefined);
      }
    }
  };
  void run();

  return {
    expect() {
      const before = at;
      return ({ epoch, number }) => {
        if (before === undefined || at?.epoch !== before.epoch) return;
        if (epoch !== before.epoch || number < before.number) interruption.abort();
      };
    },
  };
}
