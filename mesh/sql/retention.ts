/**
 * Forgets which keys and saga steps were seen, a week later: a call that is repeated after that runs again. So they are
 * kept longer than anybody repeats, and tables do not grow for ever.
 */
import { systemClock, type Clock } from "../clock.ts";
import { silentLog, type Logger } from "../observe/log.ts";
import { detached } from "../rpc/context.ts";
import type { Database } from "./database.ts";

/** What is forgotten, and when. */
export interface RetentionOptions {
  readonly db: Database;
  /** How long rows are kept. Default 7 days. */
  readonly keepMs?: number;
  /** How often to look. Default 1 hour; each instance looks at its own time. */
  readonly everyMs?: number;
  readonly log?: Logger;
  readonly clock?: Clock;
}

/** Retention that runs. */
export interface Retention {
  /** Finishes what it is deleting and stops. */
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;
const TABLES = ["idempotency", "barrier"] as const;
/** Small transactions: the group certifies each as a whole. */
const BATCH = 1000;

/** Starts to forget. Needs the platform's tables (`migrate`). */
export function startRetention(options: RetentionOptions): Retention {
  const { db, keepMs = 7 * DAY_MS, everyMs = 3_600_000, log = silentLog, clock = systemClock } = options;
  const stopping = new AbortController();
  let cancelPause: (() => void) | undefined;
  let running: Promise<void> | undefined;

  const start = () => {
    running = forget(db, keepMs, stopping.signal)
      .catch((error: unknown) => log.warn({ err: error }, `old rows of ${db.name} were not deleted`))
      .then(() => {
        running = undefined;
        if (!stopping.signal.aborted) cancelPause = clock.after(everyMs, start);
      });
  };
  cancelPause = detached(() => clock.after(everyMs, start));
  return {
    async close() {
      stopping.abort();
      cancelPause?.();
      await running;
    },
  };
}

/** Deletes what is older, in small batches. */
export async function forget(db: Database, keepMs: number, signal: AbortSignal): Promise<void> {
  for (const table of TABLES) {
    let isMore = true;
    while (isMore && !signal.aborted) {
      const { affectedRows } = await db.write((tx) =>
        tx.execute(
          `DELETE FROM ${table} WHERE created_at < NOW(3) - INTERVAL ? SECOND ORDER BY created_at LIMIT ${BATCH}`,
          [keepMs / 1000],
        ),
      );
      isMore = affectedRows === BATCH;
    }
  }
}
