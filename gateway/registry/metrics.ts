/** What a registry shows on `/metrics`. */
import { Gauge, type Registry as MetricsRegistry } from "prom-client";
import { InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";

/** What is measured, asked whenever the metrics are read. */
export interface Measured {
  /** Number of the revision. */
  revision(): number;
  staleMs(): number;
  instances(): Iterable<Instance>;
}

const stateNames: Readonly<Record<number, string>> = {
  [InstanceState.STARTING]: "starting",
  [InstanceState.SERVING]: "serving",
  [InstanceState.DRAINING]: "draining",
};

/** Adds `mesh_registry_revision`, `mesh_registry_staleness_seconds` and `mesh_registry_endpoints{state}`. */
export function measureRegistry(metrics: MetricsRegistry, measured: Measured): void {
  const revision: Gauge = new Gauge({
    name: "mesh_registry_revision",
    help: "Number of changes of the registry since its store began.",
    registers: [],
    collect: (): void => revision.set(measured.revision()),
  });
  const staleness: Gauge = new Gauge({
    name: "mesh_registry_staleness_seconds",
    help: "For how long the registry's store has not answered; 0 while it does.",
    registers: [],
    collect: (): void => staleness.set(measured.staleMs() / 1000),
  });
  const endpoints = new Gauge({
    name: "mesh_registry_endpoints",
    help: "Known instances by state; suspect ones are counted as such.",
    labelNames: ["state"],
    registers: [],
    collect() {
      for (const [state, count] of countByState(measured.instances())) endpoints.set({ state }, count);
    },
  });
  for (const metric of [revision, staleness, endpoints]) metrics.registerMetric(metric);
}

function countByState(instances: Iterable<Instance>): ReadonlyMap<string, number> {
  const counts = new Map([...Object.values(stateNames), "suspect"].map((state) => [state, 0]));
  for (const { state, suspect } of instances) {
    const name = suspect ? "suspect" : (stateNames[state] ?? "unknown");
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
