/**
 * Time and chance as parameters, so that whatever decides by them can be tested without waiting and replayed from a
 * seed. Code that only stamps a log line may use `Date` directly.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch; may jump with the wall clock. For deadlines that travel and for stored times. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. For durations. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs`, and returns how to cancel it. The timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Uniform in [0, 1), as `Math.random`. */
export type Random = () => number;

/** The real time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`; rejects with the signal's reason as soon as it aborts. */
export function sleep(delayMs: number, signal?: AbortSignal, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const abort = () => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** A generator of the same numbers for the same seed (mulberry32), for simulations and fault injection. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
