/** What a node counts, as Prometheus sees it. Read when asked, so that the hot path only adds to plain numbers. */
import { Gauge, type Registry } from "prom-client";
import type { CacheNode } from "./node.ts";
import { isOwner } from "./ownership.ts";

/** Adds the metrics of a node to a registry. */
export function observeNode(registry: Registry, { core }: CacheNode, maxBytes: number): void {
  const { store, counts } = core;
  const senders = () => [...core.senders()];
  const gauges: Readonly<Record<string, readonly [help: string, read: () => number]>> = {
    heddle_cache_hits: ["Reads that found something fresh.", () => counts.hits],
    heddle_cache_misses: ["Reads that found nothing.", () => counts.misses],
    heddle_cache_stale_hits: ["Reads that were served stale.", () => counts.stale],
    heddle_cache_writes: ["Writes taken.", () => counts.writes],
    heddle_cache_writes_unavailable: ["Writes with too few copies in time.", () => counts.unavailable],
    heddle_cache_conflicts: ["Conditional writes that lost.", () => counts.conflicts],
    heddle_cache_leases_granted: ["Leases given to loaders.", () => counts.leases],
    heddle_cache_leases: ["Leases that are held.", () => core.leases.size],
    heddle_cache_future_versions: ["Changes refused because a clock runs ahead.", () => counts.fromFuture],
    heddle_cache_entries: ["Entries, deletions included.", () => store.size],
    heddle_cache_used_bytes: ["Bytes in use, everything counted.", () => store.usedBytes],
    heddle_cache_max_bytes: ["The budget.", () => maxBytes],
    heddle_cache_evicted: ["Entries evicted.", () => store.counts.evicted],
    heddle_cache_expired: ["Entries expired.", () => store.counts.expired],
    heddle_cache_tombstones_forgotten: ["Deletions forgotten early.", () => store.counts.forgotten],
    heddle_cache_cold_slots: ["Slots that it owns and that are not filled yet.", () => coldSlots(core)],
    heddle_cache_replication_unacked_bytes: [
      "Bytes sent to other nodes and not acknowledged.",
      () => senders().reduce((sum, { unackedBytes }) => sum + unackedBytes, 0),
    ],
    heddle_cache_replication_behind: [
      "Nodes that lack something, as far as this one knows.",
      () => senders().filter((sender) => !sender.isSynced()).length,
    ],
  };
  for (const [name, [help, read]] of Object.entries(gauges)) {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(read());
        },
      }),
    );
  }
}

/** Slots that the node owns and is not warm for. */
export function coldSlots(core: CacheNode["core"]): number {
  const ring = core.ring();
  let count = 0;
  for (let slot = 0; slot < core.warm.bits.length * 8; slot++) {
    if (isOwner(ring, slot, core.self) && !core.warm.has(slot)) count++;
  }
  return count;
}
