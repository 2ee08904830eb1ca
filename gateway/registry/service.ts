/**
 * Serves the registry over gRPC: sessions and unary calls for instances, Watch and Resolve for callers. Any gateway
 * answers any call. Streams end with UNAVAILABLE when the gateway stops, so that callers go on with another one.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  Instance,
  RegistryService,
  WatchResponseSchema,
} from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { systemClock, type Clock } from "../../mesh/clock.ts";
import { eligible } from "../../mesh/registry/eligible.ts";
import { differences } from "../../mesh/registry/known-instances.ts";
import { createNotice } from "../../mesh/registry/notice.ts";
import { leaseFor, leaseOf } from "./lease.ts";
import { lifetime, type Lifetime } from "./lifetime.ts";
import { notRegistered, staleIncarnation } from "./refusals.ts";
import type { Registry } from "./registry.ts";
import { createSessions } from "./session.ts";
import { beatIntervalMs, MIN_LEASE_MS } from "./store.ts";

/** The service of a registry. `clock` times the beats of Watch. */
export function createRegistryService(
  registry: Registry,
  clock: Clock = systemClock,
): ServiceImpl<typeof RegistryService> {
  const sessions = createSessions(registry);
  return {
    session: (requests, context) => sessions.serve(requests, lifetime(registry.closed, context)),
    register: ({ instance }) => register(registry, instance),
    async heartbeat({ instanceId, incarnation }) {
      const outcome = await registry.write({ kind: "beat", instanceId, incarnation });
      if (outcome === "stale") throw staleIncarnation(instanceId);
      if (outcome === "unknown") throw notRegistered(instanceId);
      // Another gateway may have taken the registration a moment ago: then beat as if it had asked for the shortest.
      const instance = registry.instances().get(instanceId);
      return { lease: instance === undefined ? leaseOf(MIN_LEASE_MS) : leaseFor(instance, registry.leaseMs) };
    },
    async deregister({ instanceId, incarnation }) {
      await registry.write({ kind: "deregister", instanceId, incarnation });
      return {};
    },
    watch: ({ services }, context) => watch(registry, services, lifetime(registry.closed, context), clock),
    resolve({ service }) {
      const offering = [...registry.instances().values()].filter(({ services }) =>
        services.includes(service),
      );
      const instances = eligible(offering).map((instance) => withProblems(registry, instance));
      return { instances, revision: registry.revision(), stale: registry.staleMs() > 0 };
    },
  };
}

async function register(registry: Registry, instance: Instance | undefined) {
  // Validation has refused a request without an instance.
  if (instance === undefined) throw new TypeError("RegisterRequest.instance is missing");
  const outcome = await registry.write({ kind: "register", instance });
  if (outcome === "stale") throw staleIncarnation(instance.instanceId);
  return { lease: leaseFor(instance, registry.leaseMs), revision: registry.revision() };
}

/**
 * A snapshot, then what differs from what this caller was sent last: a slow caller gets fewer, larger deltas, and never
 * fills our memory. A beat without changes tells that the connection lives.
 */
async function* watch(
  registry: Registry,
  services: readonly string[],
  life: Lifetime,
  clock: Clock,
): AsyncGenerator<MessageInitShape<typeof WatchResponseSchema>> {
  const wake = createNotice();
  const notify = () => wake.notify();
  const stop = registry.watch(notify);
  try {
    await registry.ready;
    let seen = registry.instances();
    let sent = select(seen, services);
    yield {
      revision: registry.revision(),
      event: { case: "snapshot", value: { instances: [...sent.values()] } },
    };
    for (;;) {
      const cancelBeat = clock.after(beatIntervalMs(registry.leaseMs), notify);
      if (registry.instances() === seen) await wake.next(life.signal);
      cancelBeat();
      seen = registry.instances();
      const now = select(seen, services);
      yield { revision: registry.revision(), event: { case: "delta", value: delta(sent, now) } };
      sent = now;
    }
  } catch (error) {
    throw life.signal.aborted ? life.reason() : error;
  } finally {
    stop();
  }
}

function delta(sent: ReadonlyMap<string, Instance>, now: ReadonlyMap<string, Instance>) {
  const { added, changed, removed } = differences(sent, now);
  return {
    upserts: [...added, ...changed],
    removedInstanceIds: removed.map(({ instanceId }) => instanceId),
  };
}

function select(
  instances: ReadonlyMap<string, Instance>,
  services: readonly string[],
): ReadonlyMap<string, Instance> {
  if (services.length === 0) return instances;
  return new Map(
    [...instances].filter(([, instance]) => services.some((name) => instance.services.includes(name))),
  );
}

function withProblems(registry: Registry, instance: Instance): Instance {
  const problems = registry.problems.get(instance.instanceId);
  return problems.length === 0 ? instance : { ...instance, problems: [...problems] };
}
