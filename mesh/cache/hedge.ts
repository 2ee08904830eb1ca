/**
 * When a read is asked of a second node because the first one is slow: after what 95 of 100 reads of that node take, and
 * for at most one read in fifty, so that a tier that is slow as a whole is not made slower. (Dean and Barroso, "The tail
 * at scale", CACM 2013.)
 */

/** Recent answer times of a node. */
export interface AnswerTimes {
  /** A read that has waited for so long is slow, in milliseconds. */
  readonly slowMs: number;
  add(elapsedMs: number): void;
}

const SAMPLES = 128;
const QUANTILE = 0.95;
const LEAST_SLOW_MS = 2;
/** Before anything is known. */
const FIRST_SLOW_MS = 20;

/** Makes the times of a node that was not asked yet. */
export function createAnswerTimes(): AnswerTimes {
  const recent = new Float64Array(SAMPLES);
  let count = 0;
  let slowMs = FIRST_SLOW_MS;
  return {
    get slowMs() {
      return slowMs;
    },
    add(elapsedMs) {
      recent[count++ % SAMPLES] = elapsedMs;
      if (count % SAMPLES !== 0) return;
      const quantile = recent.toSorted()[Math.floor(SAMPLES * QUANTILE)] as number;
      slowMs = Math.max(LEAST_SLOW_MS, quantile);
    },
  };
}

/** How many second requests may be sent. */
export interface HedgeBudget {
  /** A read was sent. */
  earn(): void;
  /** Whether one more second request may be sent; it counts as sent then. */
  spend(): boolean;
}

const EARNED = 0.02;
const MOST = 20;

/** Makes a budget of one in fifty. */
export function createHedgeBudget(): HedgeBudget {
  let tokens = MOST / 2;
  return {
    earn() {
      if (tokens < MOST) tokens += EARNED;
    },
    spend() {
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}
