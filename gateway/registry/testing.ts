/** What the tests of the registry share. */
import type { Clock } from "../../mesh/clock.ts";

/** A clock that stands still until it is moved. Timers never fire. */
export function createManualClock(): Clock & { advance(ms: number): void } {
  let nowMs = 0;
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    after: () => () => undefined,
    advance(ms) {
      nowMs += ms;
    },
  };
}
