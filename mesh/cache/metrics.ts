/** What a process sees of the cache tier, for Prometheus. */
import { Counter, type Registry } from "prom-client";
import type { CacheOutcome } from "./client.ts";

/** Counts of a process that uses the tier. */
export interface CacheMetrics {
  /** An operation of a cache ended. */
  outcome(namespace: string, outcome: CacheOutcome): void;
  /** A read was answered by a copy in this process. */
  nearHit(): void;
  /** A read was asked of a second node because the first one was slow. */
  hedged(): void;
}

/** Makes the counters in `registry`; one set for each process. */
export function createCacheMetrics(registry: Registry): CacheMetrics {
  const operations = new Counter({
    name: "mesh_cache_operations_total",
    help: "Operations on the cache tier, by namespace and by what became of them.",
    labelNames: ["namespace", "outcome"],
    registers: [registry],
  });
  const nearHits = new Counter({
    name: "mesh_cache_near_hits_total",
    help: "Reads that a copy in this process answered.",
    registers: [registry],
  });
  const hedges = new Counter({
    name: "mesh_cache_hedges_total",
    help: "Reads that were asked of a second node because the first one was slow.",
    registers: [registry],
  });
  return {
    outcome: (namespace, outcome) => operations.inc({ namespace, outcome }),
    nearHit: () => nearHits.inc(),
    hedged: () => hedges.inc(),
  };
}
