/**
 * Tells watchers that an order has changed: at once if this process changed it, within one poll if another one did. All
 * watchers share one small query an interval, and nobody polls while nobody watches.
 */
import { systemClock, type Clock } from "../../mesh/clock.ts";
import { detached } from "../../mesh/rpc/context.ts";

/** What watching needs. */
export interface ChangesOptions {
  /** The last sequence number of each of these orders. An error counts as no news. */
  readonly sequencesOf: (orderIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;
  /** Milliseconds from one query to the next. Default 100. */
  readonly intervalMs?: number;
  readonly clock?: Clock;
}

/** News about orders. */
export interface Changes {
  /** Resolves when the order has, or may have, a later sequence number than this. Rejects with the signal's reason. */
  readonly after: (orderId: string, sequence: number, signal: AbortSignal) => Promise<void>;
  /** This process has changed an order. */
  readonly notify: (orderId: string) => void;
}

/** Makes the news. */
export function createChanges({
  sequencesOf,
  intervalMs = 100,
  clock = systemClock,
}: ChangesOptions): Changes {
  const watchers = new Set<Watcher>();
  let polling = false;

  const wake = (isNews: (watcher: Watcher) => boolean): void => {
    for (const watcher of [...watchers].filter(isNews)) watcher.wake();
  };
  const poll = async (): Promise<void> => {
    const orderIds = [...new Set([...watchers].map(({ orderId }) => orderId))];
    const sequences = await sequencesOf(orderIds).catch(() => new Map<string, number>());
    wake(({ orderId, sequence }) => (sequences.get(orderId) ?? 0) > sequence);
    schedule();
  };
  // Detached: polling serves all watchers, so it must not end with the call of the one that began it.
  const schedule = (): void => {
    polling = watchers.size > 0;
    if (polling) detached(() => clock.after(intervalMs, () => void poll()));
  };

  return {
    after: (orderId, sequence, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const leave = (): void => {
          watchers.delete(watcher);
          signal.removeEventListener("abort", abort);
        };
        const abort = (): void => {
          leave();
          reject(signal.reason as Error);
        };
        const watcher: Watcher = {
          orderId,
          sequence,
          wake() {
            leave();
            resolve();
          },
        };
        signal.addEventListener("abort", abort, { once: true });
        watchers.add(watcher);
        if (!polling) schedule();
      }),
    notify(orderId) {
      wake((watcher) => watcher.orderId === orderId);
    },
  };
}

interface Watcher {
  readonly orderId: string;
  readonly sequence: number;
  wake(): void;
}
