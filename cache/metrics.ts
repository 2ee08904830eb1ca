/** What a node counts, as Prometheus sees it. Read when asked, so that the hot path only adds to plain numbers. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { CacheSettings } from "./config.ts";
import type { Namespace } from "./namespaces.ts";
import type { CacheNode } from "./node.ts";
import type { Sender } from "./sender.ts";
import { warmthOf } from "./warmth.ts";

/** Name, help, what to read. */
type Metric<Source> = readonly [name: string, help: string, read: (source: Source) => number];

/** Adds the metrics of a node to a registry. `docs/cache.md` explains them. */
export function observeNode(registry: Registry, node: CacheNode, settings: CacheSettings): void {
  const { core } = node;
  const isOnItsOwn = ({ name }: Namespace) =>
    settings.namespaces.some((each) => each.name === name && each.maxBytes > 0);
  for (const [name, help, read] of COUNTERS) {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        counter.reset();
        counter.inc(read(node));
      },
    });
  }
  for (const [name, help, read] of GAUGES) {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [registry],
      collect: () => gauge.set(read(node)),
    });
  }
  new Gauge({ name: "heddle_cache_max_bytes", help: "The budget.", registers: [registry] }).set(
    settings.maxBytes,
  );
  labelled(registry, "heddle_cache_reads_total", "Reads, by what they found.", "result", () => [
    ["hit", core.counts.hits],
    ["stale", core.counts.stale],
    ["miss", core.counts.misses],
  ]);
  labelled(
    registry,
    "heddle_cache_namespace_bytes",
    "Bytes of the entries of a namespace that has a budget of its own.",
    "namespace",
    () =>
      core.namespaces.all.filter(isOnItsOwn).map(({ name, space }) => [name, core.store.spaceBytes(space)]),
  );
  for (const [name, help, read] of BY_PEER) {
    labelled(registry, name, help, "peer", () =>
      [...core.senders()].map((sender) => [sender.node, read(sender)]),
    );
  }
}

const COUNTERS: readonly Metric<CacheNode>[] = [
  ["heddle_cache_writes_total", "Writes taken.", ({ core }) => core.counts.writes],
  [
    "heddle_cache_writes_unavailable_total",
    "Writes with too few copies in time.",
    ({ core }) => core.counts.unavailable,
  ],
  ["heddle_cache_conflicts_total", "Conditional writes that lost.", ({ core }) => core.counts.conflicts],
  ["heddle_cache_leases_granted_total", "Leases given to loaders.", ({ core }) => core.counts.leases],
  [
    "heddle_cache_evictions_total",
    "Entries evicted for want of room.",
    ({ core }) => core.store.counts.evicted,
  ],
  ["heddle_cache_expirations_total", "Entries whose time was over.", ({ core }) => core.store.counts.expired],
  [
    "heddle_cache_tombstones_forgotten_total",
    "Deletions forgotten early for want of room.",
    ({ core }) => core.store.counts.forgotten,
  ],
  [
    "heddle_cache_future_versions_total",
    "Changes refused because the sender's clock runs ahead.",
    ({ core }) => core.counts.fromFuture,
  ],
  [
    "heddle_cache_audit_alarms_total",
    "Slots found to differ on two nodes without cause.",
    ({ core }) => core.counts.auditAlarms,
  ],
];

const GAUGES: readonly Metric<CacheNode>[] = [
  ["heddle_cache_entries", "Entries, deletions included.", ({ core }) => core.store.size],
  ["heddle_cache_used_bytes", "Bytes in use, everything counted.", ({ core }) => core.store.usedBytes],
  ["heddle_cache_leases", "Leases that are held.", ({ core }) => core.leases.size],
  ["heddle_cache_tag_clocks", "Tags that were invalidated lately.", ({ core }) => core.tags.size],
  [
    "heddle_cache_ring_members",
    "Members of the ring that it goes by.",
    ({ core }) => core.ring().members.length,
  ],
  [
    "heddle_cache_cold_slots",
    "Slots that it owns and that are not filled yet.",
    (node) => warmthOf(node).coldSlots,
  ],
  [
    "heddle_cache_warm",
    "1 if it has taken its place in the ring.",
    (node) => (warmthOf(node).isWarm ? 1 : 0),
  ],
];

const BY_PEER: readonly Metric<Sender>[] = [
  [
    "heddle_cache_replication_lag_seconds",
    "Age of the oldest frame that the peer has not acknowledged.",
    ({ lagMs }) => lagMs / 1000,
  ],
  [
    "heddle_cache_replication_unacked_frames",
    "Frames not acknowledged.",
    ({ unackedFrames }) => unackedFrames,
  ],
  ["heddle_cache_replication_unacked_bytes", "Bytes not acknowledged.", ({ unackedBytes }) => unackedBytes],
  [
    "heddle_cache_repair_due",
    "1 if the peer lacks something, or does not answer.",
    (sender) => (sender.isComplete() ? 0 : 1),
  ],
  ["heddle_cache_repair_slots", "Slots that are still sent whole.", ({ repair }) => repair.slots],
  [
    "heddle_cache_repair_entries",
    "Entries to look at in the sweep that runs.",
    ({ repair }) => repair.entries,
  ],
];

/** A family of values with one label; those that are gone vanish. */
function labelled(
  registry: Registry,
  name: string,
  help: string,
  label: string,
  read: () => readonly (readonly [value: string, number: number])[],
): void {
  const options = { name, help, labelNames: [label], registers: [registry] };
  if (name.endsWith("_total")) {
    const counter: Counter = new Counter({
      ...options,
      collect() {
        counter.reset();
        for (const [value, number] of read()) counter.inc({ [label]: value }, number);
      },
    });
  } else {
    const gauge: Gauge = new Gauge({
      ...options,
      collect() {
        gauge.reset();
        for (const [value, number] of read()) gauge.set({ [label]: value }, number);
      },
    });
  }
}
