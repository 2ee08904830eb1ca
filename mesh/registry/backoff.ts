/** How long to wait before trying a registry, or its store, again. */
import type { Random } from "../clock.ts";

/** The longest wait after the first failure. */
const BASE_MS = 100;

/** The longest wait after any number of failures. */
const MAX_MS = 5000;

/**
 * Full jitter (AWS, "Exponential Backoff And Jitter"): uniform up to 100 ms after the first failure, doubling up to 5 s,
 * so that thousands that lost the same server do not come back as one.
 */
export function reconnectDelayMs(failures: number, random: Random): number {
  return random() * Math.min(MAX_MS, BASE_MS * 2 ** Math.max(0, failures - 1));
}

/** An interval within ±10 %, so that beats of many instances spread out. */
export function jittered(intervalMs: number, random: Random): number {
  return intervalMs * (0.9 + 0.2 * random());
}
