/** Wakes all who wait for something to change. */

/** A condition that is notified any number of times. */
export interface Notice {
  /** Wakes everybody who waits. */
  notify(): void;
  /** Resolves at the next `notify`; rejects with the signal's reason as soon as it aborts. */
  next(signal: AbortSignal): Promise<void>;
}

/** Makes a condition that nobody waits for yet. */
export function createNotice(): Notice {
  let waiting = new Set<() => void>();
  return {
    notify() {
      const woken = waiting;
      waiting = new Set();
      for (const wake of woken) wake();
    },
    next(signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const abort = () => {
          waiting.delete(wake);
          reject(signal.reason as Error);
        };
        const wake = () => {
          signal.removeEventListener("abort", abort);
          resolve();
        };
        waiting.add(wake);
        signal.addEventListener("abort", abort, { once: true });
      });
    },
  };
}
