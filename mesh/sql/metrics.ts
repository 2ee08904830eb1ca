/** What a database counts, as Prometheus metrics with the label `schema`. Members are few, so their addresses are labels. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import type { ErrorClass } from "./errors.ts";
import type { Hold } from "./hold.ts";
import type { Monitor } from "./monitor.ts";
import type { Topology } from "./topology.ts";

/** Counts what happens. */
export interface SqlMetrics {
  /** A transaction was committed. */
  committed(member: string): void;
  /** A statement of a read was answered. */
  answered(member: string): void;
  /** A transaction failed this way and is run again. */
  retried(because: ErrorClass): void;
  /** A connection was lost during commit; `isRerun`: the transaction is run again to find out. */
  unknown(isRerun: boolean): void;
  /** A wait for a token is over: it came, or another member has to answer. */
  tokenWait(ms: number, hasCome: boolean): void;
  /** Shows the group and the queue of those who wait for a primary, from now on. */
  observe(monitor: Monitor, hold: Hold): void;
}

/** Counts nothing. */
export const noSqlMetrics: SqlMetrics = {
  committed: () => undefined,
  answered: () => undefined,
  retried: () => undefined,
  unknown: () => undefined,
  tokenWait: () => undefined,
  observe: () => undefined,
};

/** Adds the metrics of a schema to a registry. Several databases of a process share them. */
export function createSqlMetrics(registry: Registry, schema: string, clock: Clock): SqlMetrics {
  const commits = counter(registry, "mesh_db_commits_total", "Transactions committed.", ["member"]);
  const reads = counter(registry, "mesh_db_reads_total", "Statements of reads answered.", ["member"]);
  const retries = counter(registry, "mesh_db_retries_total", "Transactions run again, by why.", ["because"]);
  const unknowns = counter(
    registry,
    "mesh_db_unknown_outcomes_total",
    "Connections lost during commit, by what was done: rerun with a key, or reported to the caller.",
    ["resolution"],
  );
  const waits = counter(registry, "mesh_db_token_waits_total", "Waits for a consistency token.", ["result"]);
  const waitSeconds = tokenWaitSeconds(registry);
  return {
    committed: byMember(commits, schema),
    answered: byMember(reads, schema),
    retried: (because) => retries.inc({ schema, because }),
    unknown: (isRerun) => unknowns.inc({ schema, resolution: isRerun ? "rerun" : "reported" }),
    tokenWait(ms, hasCome) {
      waits.inc({ schema, result: hasCome ? "arrived" : "fallback" });
      waitSeconds.observe({ schema }, ms / 1000);
    },
    observe(monitor, hold) {
      observeGroup(registry, schema, monitor);
      observeHold(registry, schema, hold);
      observeWriter(registry, schema, monitor, clock);
    },
  };
}

/** Counts by member. Looking the labels up anew for each statement would cost more than all the rest. */
function byMember(counter: Counter, schema: string): (member: string) => void {
  const known = new Map<string, Counter.Internal>();
  return (member) => {
    let one = known.get(member);
    if (one === undefined) known.set(member, (one = counter.labels({ schema, member })));
    one.inc();
  };
}

function observeGroup(registry: Registry, schema: string, monitor: Monitor): void {
  const member = gauge(registry, "mesh_db_member", "1 for each member with its role and state.", [
    "member",
    "role",
    "state",
  ]);
  const readable = gauge(registry, "mesh_db_member_readable", "1 if reads may go to the member.", ["member"]);
  const queue = gauge(
    registry,
    "mesh_db_applier_queue",
    "Transactions a member has received but not applied.",
    ["member"],
  );
  let shown: Topology["members"] = [];
  const show = ({ members }: Topology) => {
    for (const { address, role, state } of shown) member.remove({ schema, member: address, role, state });
    for (const { address, role, state, readable: isReadable, applierQueue } of members) {
      member.set({ schema, member: address, role, state }, 1);
      readable.set({ schema, member: address }, isReadable ? 1 : 0);
      queue.set({ schema, member: address }, applierQueue);
    }
    shown = members;
  };
  show(monitor.topology);
  monitor.watch(show);
}

function observeHold(registry: Registry, schema: string, hold: Hold): void {
  const help = "Calls that wait for a primary.";
  gauge(registry, "mesh_db_hold_length", help, [], (self) => self.set({ schema }, hold.length));
  const age = "How long the first of them has waited.";
  gauge(registry, "mesh_db_hold_oldest_seconds", age, [], (self) =>
    self.set({ schema }, hold.oldestMs() / 1000),
  );
}

function observeWriter(registry: Registry, schema: string, monitor: Monitor, clock: Clock): void {
  const begin = clock.monotonic();
  let since: number | undefined = begin;
  let withoutMs = 0;
  const settle = ({ writer }: Topology) => {
    const now = clock.monotonic();
    if (since !== undefined) withoutMs += now - since;
    since = writer === undefined ? now : undefined;
  };
  monitor.watch(settle);
  const help = "Time in which no primary was known, since the start of the process.";
  gauge(registry, "mesh_db_without_writer_seconds", help, [], (self) => {
    settle(monitor.topology);
    self.set({ schema }, withoutMs / 1000);
  });
}

function counter(registry: Registry, name: string, help: string, labels: readonly string[]): Counter {
  const known = registry.getSingleMetric(name);
  if (known !== undefined) return known as Counter;
  return new Counter({ name, help, labelNames: ["schema", ...labels], registers: [registry] });
}

function gauge(
  registry: Registry,
  name: string,
  help: string,
  labels: readonly string[],
  collect?: (self: Gauge) => void,
): Gauge {
  const known = registry.getSingleMetric(name) as Gauge | undefined;
  const made = known ?? new Gauge({ name, help, labelNames: ["schema", ...labels], registers: [registry] });
  if (collect !== undefined) alsoCollect(made, collect);
  return made;
}

/** Each database of the process sets its own values when the metric is read. */
function alsoCollect(gauge: Gauge & { collect?: () => void }, collect: (self: Gauge) => void): void {
  const others = gauge.collect;
  gauge.collect = () => {
    others?.();
    collect(gauge);
  };
}

function tokenWaitSeconds(registry: Registry): Histogram {
  const name = "mesh_db_token_wait_seconds";
  const help = "How long reads waited for a consistency token.";
  const buckets = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10];
  const known = registry.getSingleMetric(name);
  if (known !== undefined) return known as Histogram;
  return new Histogram({ name, help, labelNames: ["schema"], buckets, registers: [registry] });
}
