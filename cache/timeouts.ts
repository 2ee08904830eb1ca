/** Timeouts of one length for many things at once, with one timer: what begins first is over first. */
import type { Clock } from "../mesh/clock.ts";

/** Timeouts of one length. */
export interface Timeouts {
  /** Calls back after the timeout, unless the result was called before. */
  add(callback: () => void): () => void;
}

/** Makes timeouts of `timeoutMs`; they are at most a tenth late. */
export function createTimeouts(clock: Clock, timeoutMs: number): Timeouts {
  const waiting = new Set<{ readonly dueAt: number; readonly callback: () => void }>();
  let isArmed = false;

  function tick(): void {
    const now = clock.monotonic();
    for (const entry of waiting) {
      if (entry.dueAt > now) break;
      waiting.delete(entry);
      entry.callback();
    }
    isArmed = waiting.size > 0;
    if (isArmed) clock.after(timeoutMs / 10, tick);
  }

  return {
    add(callback) {
      const entry = { dueAt: clock.monotonic() + timeoutMs, callback };
      waiting.add(entry);
      if (!isArmed) {
        isArmed = true;
        clock.after(timeoutMs / 10, tick);
      }
      return () => waiting.delete(entry);
    },
  };
}
