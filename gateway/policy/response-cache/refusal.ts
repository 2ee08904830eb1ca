/** Whether a caller may be given what is stored. A pure decision. */
import type { CachedResponse } from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import type { Directives } from "./directives.ts";

/** Why a stored response is not given, as `detail` of `Cache-Status`. */
export type Refusal = "NO_CACHE" | "MAX_AGE" | "TOKEN" | "INVALIDATING";

/** What is known of a caller and of the moment. */
export interface Circumstances {
  readonly asked: Directives;
  readonly nowMs: number;
  /** This gateway, as in `loadedBy`. */
  readonly gateway: string;
  /** When this gateway first saw the consistency token of the caller; undefined if the caller has none. */
  readonly tokenSeenMs: number | undefined;
  /** When a write of entries with these tags ended of which not all nodes know yet. */
  readonly doubtedSince: (tags: readonly string[]) => number | undefined;
}

/** Clocks of two gateways differ by less than this; the cache tier demands the same. */
const CLOCK_DIFFERENCE_MS = 500;

/** Why the caller must not be given the entry; undefined if it may. */
export function refusalOf(entry: CachedResponse, about: Circumstances): Refusal | undefined {
  if (about.asked.noCache) return "NO_CACHE";
  if (ageMs(entry, about.nowMs) > about.asked.maxAgeMs) return "MAX_AGE";
  // The write had ended, and what was loaded after that has it.
  if (!isNewer(entry, about.doubtedSince(entry.tags), about)) return "INVALIDATING";
  // The token was given out before it was seen here, and what was loaded after that has all that it is about.
  return isNewer(entry, about.tokenSeenMs, about) ? undefined : "TOKEN";
}

/** Milliseconds since the response was asked for; never negative. */
export function ageMs({ loadedAtMs }: Pick<CachedResponse, "loadedAtMs">, nowMs: number): number {
  return Math.max(0, nowMs - Number(loadedAtMs));
}

/** Whether the entry was surely loaded after a moment. Loads read from primaries: they have all that was written before. */
function isNewer(
  { loadedAtMs, loadedBy }: CachedResponse,
  momentMs: number | undefined,
  { gateway }: Circumstances,
): boolean {
  if (momentMs === undefined) return true;
  const marginMs = loadedBy === gateway ? 0 : CLOCK_DIFFERENCE_MS;
  return Number(loadedAtMs) > momentMs + marginMs;
}
