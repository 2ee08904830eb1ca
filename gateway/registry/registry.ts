/**
 * The registry of a gateway: who is alive, from a store that it may share with other gateways. It answers from memory,
 * follows the store, and goes on with what it knows while the store is away. `service.ts` serves it over gRPC.
 */
import { Code } from "@connectrpc/connect";
import type { Registry as MetricsRegistry } from "prom-client";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { systemClock, type Clock, type Random } from "../../mesh/clock.ts";
import { hasReason, messageOf, rpcError } from "../../mesh/errors.ts";
import { silentLog, type Logger } from "../../mesh/observe/log.ts";
import { abortable } from "../../mesh/registry/abortable.ts";
import type { Resolver } from "../../mesh/registry/instances.ts";
import { createNotice } from "../../mesh/registry/notice.ts";
import { follow } from "./follow.ts";
import { measureRegistry } from "./metrics.ts";
import { createOffline } from "./offline.ts";
import { createProblems, type Problems } from "./problems.ts";
import { createRoster, type Roster } from "./roster.ts";
import { createSnapshotFile } from "./snapshot-file.ts";
import {
  DEFAULT_LEASE_MS,
  formatRevision,
  reapIntervalMs,
  type Command,
  type Outcome,
  type Revision,
  type Store,
} from "./store.ts";

/** How long a write waits until this gateway has seen its own change. */
const READ_YOUR_WRITES_MS = 250;

/** Options of a registry. */
export interface RegistryOptions {
  /** Where instances are kept. It is closed with the registry. */
  readonly store: Store;
  /** The lease of instances that ask for none; the same that the store was given. Default 15 000. */
  readonly leaseMs?: number;
  /** A file for the last known instances, for a start while the store is away. Default: none. */
  readonly snapshotFile?: string;
  readonly log?: Logger;
  /** Gets `mesh_registry_revision`, `mesh_registry_staleness_seconds` and `mesh_registry_endpoints{state}`. */
  readonly metrics?: MetricsRegistry;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Who is alive. */
export interface Registry extends Pick<Roster, "instances" | "watch" | "pin" | "unpin"> {
  /** The lease of instances that ask for none. */
  readonly leaseMs: number;
  /** Resolves as soon as there is something to answer with: the store's view, what is on disk, or neither. */
  readonly ready: Promise<void>;
  /** Aborted by `close`. */
  readonly closed: AbortSignal;
  /** What this gateway found wrong with the routes of instances; the instances hear of it in their sessions. */
  readonly problems: Problems;
  /** Resolves services within this process. */
  readonly resolver: Resolver;
  /** `epoch/number`; empty before the first answer of the store. */
  revision(): string;
  /** For how long the store has not answered; 0 while it does. */
  staleMs(): number;
  /** Registers, renews, or takes out an instance. Works on this gateway's view alone while the store is away. */
  write(command: Command): Promise<Outcome>;
  /** Stops following, and closes the store. Instances stay registered. */
  close(): Promise<void>;
}

/** Makes a registry and begins to follow the store. */
export function createRegistry(options: RegistryOptions): Registry {
  const { store, leaseMs = DEFAULT_LEASE_MS, log = silentLog, clock = systemClock, snapshotFile } = options;
  const closing = new AbortController();
  const roster = createRoster();
  const { known } = roster;
  const publish = () => roster.publish();
  const problems = createProblems();
  const offline = createOffline(known);
  const progress = createNotice();
  const ready = Promise.withResolvers<void>();
  const file =
    snapshotFile === undefined ? undefined : createSnapshotFile({ path: snapshotFile, clock, log });
  let revision: Revision | undefined;
  let failedAtMs: number | undefined;

  const arrived = (at: Revision): void => {
    revision = at;
    publish();
    progress.notify();
    ready.resolve();
    if (failedAtMs === undefined) return;
    log.info({ revision: formatRevision(at) }, "the registry's store answers again");
    failedAtMs = undefined;
    // What happened since the last replay. If it fails, the next one has it.
    replay().catch(() => undefined);
  };

  /** Until the store answers again, nobody waits for it. */
  const failed = (error: unknown): void => {
    if (failedAtMs !== undefined) return;
    failedAtMs = clock.monotonic();
    log.warn(
      { problem: messageOf(error) },
      "the registry's store does not answer; going on with what is known",
    );
    void startFromDisk();
  };

  const replay = () => offline.replay((command) => store.write(command));

  const startFromDisk = async (): Promise<void> => {
    const saved = revision === undefined ? await file?.load() : undefined;
    if (saved !== undefined && revision === undefined) {
      for (const instance of saved) known.upsert(instance);
      log.warn({ instances: saved.length }, "started from the registry's snapshot on disk");
      publish();
    }
    ready.resolve();
  };

  const follower = follow(
    store,
    {
      connected: replay,
      snapshot({ revision, instances }) {
        known.reset(instances, clock.monotonic());
        arrived(revision);
      },
      changes(changes, at) {
        for (const change of changes) {
          if (change.kind === "upsert") known.upsert(change.instance);
          else known.remove(change.instanceId, change.deregistered, clock.monotonic());
        }
        arrived(at);
      },
      failed,
    },
    { clock, random: options.random ?? Math.random, signal: closing.signal },
  );

  /** Late is no failure: the change is in the store, and comes. */
  const caughtUp = async (target: Revision): Promise<void> => {
    const behind = () => revision?.epoch !== target.epoch || revision.number < target.number;
    if (!behind()) return;
    const late = new AbortController();
    const cancel = clock.after(READ_YOUR_WRITES_MS, () => late.abort());
    const signal = AbortSignal.any([late.signal, closing.signal]);
    while (!signal.aborted && behind()) await progress.next(signal).catch(() => undefined);
    cancel();
  };

  const write = async (command: Command): Promise<Outcome> => {
    try {
      if (failedAtMs === undefined) return await writeToStore(command);
    } catch (error) {
      if (!hasReason(error, Reason.STORE_UNAVAILABLE)) throw error;
      failed(error);
    }
    const outcome = offline.apply(command, clock.monotonic());
    publish();
    return outcome;
  };

  const writeToStore = async (command: Command): Promise<Outcome> => {
    const check = follower.expect();
    const { outcome, revision } = await store.write(command);
    check(revision);
    await caughtUp(revision);
    return outcome;
  };

  const reap = async (): Promise<void> => {
    await write({ kind: "reap" });
    known.age(clock.monotonic());
    publish();
  };
  repeat(reap, { everyMs: reapIntervalMs(leaseMs), clock, log, signal: closing.signal });

  roster.watch(({ removed }) => {
    for (const { instanceId } of removed) problems.set(instanceId, []);
    file?.save(() => known.published().values());
  });

  const staleMs = () => (failedAtMs === undefined ? 0 : clock.monotonic() - failedAtMs);
  if (options.metrics !== undefined) {
    const instances = () => roster.instances().values();
    measureRegistry(options.metrics, { revision: () => revision?.number ?? 0, staleMs, instances });
  }

  return {
    ...roster,
    leaseMs,
    ready: ready.promise,
    closed: closing.signal,
    problems,
    resolver: {
      watch: (service) => roster.sets.watch(service),
      ready: (_service, signal) => abortable(ready.promise, signal),
      close: () => Promise.resolve(),
    },
    revision: () => (revision === undefined ? "" : formatRevision(revision)),
    staleMs,
    write,
    async close() {
      closing.abort(
        rpcError(Code.Unavailable, Reason.DRAINING, "this gateway has stopped; another one may answer"),
      );
      await store.close();
      await file?.close();
    },
  };
}

interface RepeatOptions {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Runs `work` again and again, never twice at a time, until the signal aborts. */
function repeat(work: () => Promise<void>, options: RepeatOptions): void {
  const { everyMs, clock, log, signal } = options;
  const next = (): void => {
    clock.after(everyMs, () => {
      if (signal.aborted) return;
      work()
        .catch((error: unknown) => log.error({ err: error }, "the registry's reaper failed"))
        .finally(next);
    });
  };
  next();
}
