/** Timeouts of one length for many things at once, with one timer: what begins first is over first. */
import type { Clock } from "../mesh/clock.ts";

/** Something that does not wait for ever. */
export interface Timed {
  timedOut(): void;
}

/** Timeouts of one length. */
export interface Timeouts {
  /** Tells `waiter` when its time is over, unless it is removed before. */
  add(waiter: Timed): void;
  remove(waiter: Timed): void;
}

/** Makes timeouts of `timeoutMs`; they are at most a tenth late. */
export function createTimeouts(clock: Clock, timeoutMs: number): Timeouts {
  const dueAt = new Map<Timed, number>();
  let isArmed = false;

  function tick(): void {
    const now = clock.monotonic();
    for (const [waiter, due] of dueAt) {
      if (due > now) break;
      dueAt.delete(waiter);
      waiter.timedOut();
    }
    isArmed = dueAt.size > 0;
    if (isArmed) clock.after(timeoutMs / 10, tick);
  }

  return {
    add(waiter) {
      dueAt.set(waiter, clock.monotonic() + timeoutMs);
      if (isArmed) return;
      isArmed = true;
      clock.after(timeoutMs / 10, tick);
    },
    remove: (waiter) => void dueAt.delete(waiter),
  };
}
