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
  /** Whether the write may still happen: its tags stay in doubt for a while and are then invalidated once more. */
  readonly isUnsure?: boolean;
  /** Entries become stale instead of invalid. */
  readonly soft?: boolean;
}

/** Invalidates. */
export interface Invalidator {
  /** Resolves once every node knows, or the bound is reached. Never rejects. */
  invalidate(tags: readonly string[], how?: Invalidation): Promise<InvalidationOutcome>;
  /** Whether an entry with these tags may be older than a write that this process knows of. */
  isDoubted(tags: readonly string[]): boolean;
  /** Gives up what is in doubt. */
  close(): void;
}

/** How long a write of unknown outcome may still happen; the longest deadline of a participant's step. */
const UNSURE_MS = 10_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
/** A tier that could not be told for so long has lost, or outlived, what it had. */
const GIVE_UP_MS = 300_000;
/** With more tags than this in doubt, all are. */
const MAX_DOUBTED = 10_000;
/** A limit of the tier for one operation is 1,000. */
const TAGS_AT_ONCE = 500;

/** Makes an invalidator; the bound of one invalidation is the write timeout of the cache. */
export function createInvalidator(options: InvalidatorOptions): Invalidator {
  const { cache, hasNodes, clock, log = silentLog } = options;
  /** How many invalidations of each tag are not known to be done. */
  const doubted = new Map<string, number>();
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

  function count(tags: readonly string[], by: 1 | -1): void {
    for (const tag of tags) {
      const next = (doubted.get(tag) ?? 0) + by;
      if (next > 0) doubted.set(tag, next);
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
        if (isDone) return count(tags, -1);
        if (clock.monotonic() < untilMs) {
          return retry(tags, soft, Math.min(Math.max(delayMs, FIRST_RETRY_MS) * 2, LAST_RETRY_MS), untilMs);
        }
        count(tags, -1);
        log.error({ tags: tags.slice(0, 8) }, "cached responses could not be invalidated; giving up");
      });
    });
  }

  return {
    async invalidate(tags, { isUnsure = false, soft = false } = {}) {
      if (!hasNodes()) return "no_nodes";
      // In doubt from the start: a reader of this process must not be given the old entry while the nodes are told.
      count(tags, 1);
      const isDone = await attempt(tags, soft);
      if (!isDone)
        log.warn({ tags: tags.slice(0, 8) }, "some cache nodes could not be told of a change; trying on");
      if (isDone && !isUnsure) {
        count(tags, -1);
        return "applied";
      }
      retry(tags, soft, isUnsure ? UNSURE_MS : FIRST_RETRY_MS, clock.monotonic() + GIVE_UP_MS);
      return isDone ? "applied" : "pending";
    },
    isDoubted(tags) {
      if (doubted.size === 0) return false;
      return doubted.size > MAX_DOUBTED || tags.some((tag) => doubted.has(tag));
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
