/**
 * Invalidates cached responses on behalf of a write, within a bound that its caller can wait for. What could not be told to
 * every node of the tier is in doubt: it is told again until it is known, and who asks is told not to trust such entries
 * meanwhile.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock } from "../clock.ts";
import { silentLog, type Logger } from "../observe/log.ts";
import { detached } from "../rpc/context.ts";
import type { Cache } from "./client.ts";

/** Options of an invalidator. */
export interface InvalidatorOptions {
  readonly cache: Pick<Cache<unknown>, "invalidateTags">;
  /** Whether any node of the tier is known. Without one there is nothing to invalidate. */
  readonly hasNodes: () => boolean;
  readonly clock: Clock;
  readonly log?: Logger;
}

/** What became of an invalidation, for metrics, too. `pending`: not all nodes know yet. */
export type InvalidationOutcome = "applied" | "pending" | "no_nodes";

/** How tags are invalidated. */
export interface Invalidation {
  /** Whether the write may still happen: its tags are invalidated once more when that is over. */
  readonly isUnsure?: boolean;
  /** Entries become stale instead of invalid. */
  readonly soft?: boolean;
}

/** Invalidates. */
export interface Invalidator {
  /** Resolves once every node knows, or the bound is reached. Never rejects. */
  invalidate(tags: readonly string[], how?: Invalidation): Promise<InvalidationOutcome>;
  /**
   * When a write ended, in milliseconds since the Unix epoch, of which not all nodes know yet: an entry with these tags that
   * was loaded before may lack it. Undefined if there is none.
   */
  doubtedSince(tags: readonly string[]): number | undefined;
  /** Gives up what is in doubt. */
  close(): void;
}

/** How long a write of unknown outcome may still happen; the longest deadline of a participant's step. */
const UNSURE_MS = 10_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
/** A tier that could not be told for so long has lost, or outlived, what it had. */
const GIVE_UP_MS = 300_000;
/** With more tags than this in doubt, all are in doubt. */
const MAX_DOUBTED = 10_000;
/** A limit of the tier for one operation is 1,000. */
const TAGS_AT_ONCE = 500;

/** Makes an invalidator; the bound of one invalidation is the write timeout of the cache. */
export function createInvalidator(options: InvalidatorOptions): Invalidator {
  const { cache, hasNodes, clock, log = silentLog } = options;
  /** Tags in doubt: how many invalidations are not known to be done, and when the last one began. */
  const doubted = new Map<string, { readonly count: number; readonly sinceMs: number }>();
  let latestMs = 0;
  const timers = new Set<() => void>();
  let isClosed = false;

  async function attempt(tags: readonly string[], soft: boolean): Promise<boolean> {
    const parts: Promise<boolean>[] = [];
    for (let from = 0; from < tags.length; from += TAGS_AT_ONCE) {
      const some = tags.slice(from, from + TAGS_AT_ONCE);
      // Detached: the call that has changed something may be out of time, and its change has to be told all the same.
      parts.push(detached(() => cache.invalidateTags(some, { soft })));
    }
    return (await Promise.all(parts)).every(Boolean);
  }

  function doubt(tags: readonly string[]): void {
    const sinceMs = clock.now();
    latestMs = Math.max(latestMs, sinceMs);
    for (const tag of tags) doubted.set(tag, { count: (doubted.get(tag)?.count ?? 0) + 1, sinceMs });
  }

  function trust(tags: readonly string[]): void {
    for (const tag of tags) {
      const { count, sinceMs } = doubted.get(tag) ?? { count: 0, sinceMs: 0 };
      if (count > 1) doubted.set(tag, { count: count - 1, sinceMs });
      else doubted.delete(tag);
    }
  }

  function later(delayMs: number, work: () => void): void {
    if (isClosed) return;
    const cancel = clock.after(delayMs, () => {
      timers.delete(cancel);
      work();
    });
    timers.add(cancel);
  }

  /** Tries again until it is done, ever more rarely. */
  function retry(tags: readonly string[], soft: boolean, delayMs: number, untilMs: number): void {
    later(delayMs, () => {
      void attempt(tags, soft).then((isDone) => {
        if (isDone) return trust(tags);
        if (clock.monotonic() < untilMs) {
          return retry(tags, soft, Math.min(Math.max(delayMs, FIRST_RETRY_MS) * 2, LAST_RETRY_MS), untilMs);
        }
        trust(tags);
        log.error({ tags: tags.slice(0, 8) }, "cached responses could not be invalidated; giving up");
      });
    });
  }

  return {
    async invalidate(tags, { isUnsure = false, soft = false } = {}) {
      if (!hasNodes()) return "no_nodes";
      // In doubt from the start: a reader of this process must not be given the old entry while the nodes are told.
      doubt(tags);
      const isDone = await attempt(tags, soft);
      const untilMs = clock.monotonic() + GIVE_UP_MS;
      if (isDone) trust(tags);
      else {
        log.warn({ tags: tags.slice(0, 8) }, "some cache nodes could not be told of a change; trying on");
        retry(tags, soft, FIRST_RETRY_MS, untilMs);
      }
      if (isUnsure) {
        doubt(tags);
        retry(tags, soft, UNSURE_MS, untilMs);
      }
      return isDone ? "applied" : "pending";
    },
    doubtedSince(tags) {
      if (doubted.size === 0) return undefined;
      if (doubted.size > MAX_DOUBTED) return latestMs;
      const times = tags.flatMap((tag) => doubted.get(tag)?.sinceMs ?? []);
      return times.length === 0 ? undefined : Math.max(...times);
    },
    close() {
      isClosed = true;
      for (const cancel of timers) cancel();
      timers.clear();
    },
  };
}

/** Whether a failed write surely had no effect. */
export function hadNoEffect(error: unknown): boolean {
  return error instanceof ConnectError && refusals.has(error.code);
}

const refusals: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
]);
