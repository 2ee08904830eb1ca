/** What the response cache counts. */
import { Counter, type Registry } from "prom-client";
import type { InvalidationOutcome } from "../../../mesh/cache/invalidator.ts";

/** What became of a call of a cached method. `refused`: there was an entry that this caller must not be given. */
export type CacheResult = "hit" | "stale" | "miss" | "refused" | "bypass";

/** Counts. */
export interface ResponseCacheMetrics {
  /** One call of a cached method. `route` is the path of the method. */
  request(route: string, result: CacheResult): void;
  /** An invalidation, by a write or by an operator. */
  invalidation(by: "write" | "purge", outcome: InvalidationOutcome): void;
  /** The tier did not answer, or refused. */
  error(): void;
}

/** `gateway_cache_requests_total`, `gateway_cache_invalidations_total` and `gateway_cache_errors_total`. */
export function createResponseCacheMetrics(registry: Registry): ResponseCacheMetrics {
  const requests = new Counter({
    name: "gateway_cache_requests_total",
    help: "Calls of cached methods, by what the response cache made of them.",
    labelNames: ["route", "result"],
    registers: [registry],
  });
  const invalidations = new Counter({
    name: "gateway_cache_invalidations_total",
    help: "Invalidations of cached responses: pending ones are not known to all cache nodes yet.",
    labelNames: ["by", "outcome"],
    registers: [registry],
  });
  const errors = new Counter({
    name: "gateway_cache_errors_total",
    help: "Operations that the cache tier did not answer in time, or refused.",
    registers: [registry],
  });
  return {
    request: (route, result) => requests.inc({ route, result }),
    invalidation: (by, outcome) => invalidations.inc({ by, outcome }),
    error: () => errors.inc(),
  };
}
