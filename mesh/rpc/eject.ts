/**
 * When an endpoint that keeps failing is left alone, and how it comes back: out after some failures in a row, for a
 * penalty that doubles each time, and back through one real call as a probe (Linkerd's consecutive-failure breaker).
 * Pure: the clock is a parameter.
 */
import type { Random } from "../clock.ts";

/** How a call that was sent to the endpoint ended, as far as the endpoint is to blame. */
export type Verdict = "success" | "failure" | "neutral";

/** How patient to be. */
export interface EjectOptions {
  /** Failures in a row that eject. Default 5. */
  readonly maxFailures?: number;
  /** First penalty. Default 1000 ms. It doubles with every ejection until a call succeeds. */
  readonly penaltyMs?: number;
  /** Longest penalty, before jitter. Default 60 000 ms. */
  readonly maxPenaltyMs?: number;
  /** Adds up to half to each penalty, so that endpoints do not come back together. */
  readonly random?: Random;
}

/** The record of one endpoint. */
export interface Ejector {
  /** Whether a call may be sent: it is in rotation, or its penalty is over and no probe is running. */
  admits(nowMs: number): boolean;
  /** A call is sent. Returns what to tell its verdict; that returns true if the verdict ejected the endpoint. */
  begin(nowMs: number): (verdict: Verdict, nowMs: number) => boolean;
}

/** A record without failures. */
export function createEjector(options: EjectOptions = {}): Ejector {
  const { maxFailures = 5, penaltyMs = 1000, maxPenaltyMs = 60_000, random = Math.random } = options;
  let failures = 0;
  let ejections = 0;
  let ejectedUntil: number | undefined;
  let probing = false;

  function eject(nowMs: number): true {
    const penalty = Math.min(maxPenaltyMs, penaltyMs * 2 ** ejections);
    ejectedUntil = nowMs + penalty * (1 + random() / 2);
    ejections += 1;
    failures = 0;
    return true;
  }

  function readmit(): void {
    ejectedUntil = undefined;
    ejections = 0;
    failures = 0;
  }

  function probeEnded(verdict: Verdict, nowMs: number): boolean {
    probing = false;
    if (verdict === "success") readmit();
    return verdict === "failure" && eject(nowMs);
  }

  /** Calls that were sent before an ejection, or in spite of it, say nothing new about it unless they succeed. */
  function callEnded(verdict: Verdict, nowMs: number): boolean {
    if (verdict === "neutral" || (ejectedUntil !== undefined && verdict === "failure")) return false;
    if (verdict === "success") {
      failures = 0;
      return false;
    }
    failures += 1;
    return failures >= maxFailures && eject(nowMs);
  }

  return {
    admits: (nowMs) => ejectedUntil === undefined || (nowMs >= ejectedUntil && !probing),
    begin(nowMs) {
      const isProbe = ejectedUntil !== undefined && nowMs >= ejectedUntil && !probing;
      if (!isProbe) return callEnded;
      probing = true;
      return probeEnded;
    },
  };
}
