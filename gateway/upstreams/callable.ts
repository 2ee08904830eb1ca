/**
 * Which instances may be sent a call of a method: those that offer the method, by their own descriptors. Instances of
 * several versions may run side by side, and the channel is none the wiser.
 */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { createInstanceSets } from "../../mesh/registry/instance-sets.ts";
import type { InstanceSet } from "../../mesh/registry/instances.ts";
import { callTarget } from "../edge/calls.ts";
import type { RouteTable } from "../routes/types.ts";

/** Instance sets by call target. */
export interface Callable {
  /** The set for a target, see `callTarget`; the same one for the same target. */
  watch(target: string): InstanceSet;
  /** Takes over the instances that there are, the API of each, and the table that says what a digest offers. */
  update(
    instances: Iterable<Instance>,
    apiOf: (instance: Instance) => string | undefined,
    table: RouteTable,
  ): void;
}

/** Makes empty sets. */
export function createCallable(): Callable {
  const sets = createInstanceSets();
  let shown = new Map<string, Shown>();
  let targetsOf: { readonly table: RouteTable; readonly byDigest: ReadonlyMap<string, string[]> } | undefined;

  return {
    watch: (target) => sets.watch(target),
    update(instances, apiOf, table) {
      if (targetsOf?.table !== table) targetsOf = { table, byDigest: targetsByDigest(table) };
      const next = new Map<string, Shown>();
      for (const instance of instances) {
        const targets = targetsOf.byDigest.get(apiOf(instance) ?? "");
        if (targets === undefined) continue;
        const before = shown.get(instance.instanceId);
        const unchanged = before?.instance === instance && before.targets === targets;
        next.set(instance.instanceId, unchanged ? before : show(instance, targets));
      }
      shown = next;
      sets.update([...shown.values()].map(({ as }) => as));
    },
  };
}

/** An instance as the channel's resolver shows it: it offers targets where others offer services. */
interface Shown {
  readonly instance: Instance;
  readonly targets: readonly string[];
  readonly as: Instance;
}

function show(instance: Instance, targets: string[]): Shown {
  return { instance, targets, as: { ...instance, services: targets } };
}

function targetsByDigest(table: RouteTable): ReadonlyMap<string, string[]> {
  const byDigest = new Map<string, string[]>();
  for (const [path, { digests }] of table.methods) {
    for (const digest of digests) {
      const targets = byDigest.get(digest);
      if (targets === undefined) byDigest.set(digest, [callTarget(path)]);
      else targets.push(callTarget(path));
    }
  }
  return byDigest;
}
