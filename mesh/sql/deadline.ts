/** When an operation must be over: what it is given itself, but never later than the call it is done for. */
import type { Clock } from "../clock.ts";
import { servedCall } from "../rpc/context.ts";

/** A point in time. */
export interface Deadline {
  /** Wall clock, in milliseconds. */
  readonly until: number;
  /** `ms`, or less if less is left; at least 1. */
  atMost(ms: number): number;
  isOver(): boolean;
}

/** In `ms` from now, or when the call being served must be over, whichever is first. */
export function deadlineIn(ms: number, clock: Clock): Deadline {
  const until = Math.min(clock.now() + ms, servedCall()?.deadline ?? Infinity);
  return {
    until,
    atMost: (ms) => Math.max(1, Math.min(ms, until - clock.now())),
    isOver: () => clock.now() >= until,
  };
}
