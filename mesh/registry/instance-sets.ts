/** One observable set of callable instances for each service that somebody asked for. */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { eligible } from "./eligible.ts";
import type { InstanceSet } from "./instances.ts";
import { createNotice } from "./notice.ts";

/** Sets by service, all fed from one list of instances. */
export interface InstanceSets {
  /** The set of a service; the same one for the same name. */
  watch(service: string): InstanceSet;
  /** Replaces the list. Only sets whose members differ change. */
  update(instances: Iterable<Instance>): void;
}

/** Makes sets over an empty list. */
export function createInstanceSets(): InstanceSets {
  const sets = new Map<string, ReturnType<typeof createInstanceSet>>();
  let byService = new Map<string, Instance[]>();
  return {
    watch(service) {
      let set = sets.get(service);
      if (set === undefined) {
        set = createInstanceSet(byService.get(service) ?? []);
        sets.set(service, set);
      }
      return set;
    },
    update(instances) {
      byService = groupByService(instances);
      for (const [service, set] of sets) set.update(byService.get(service) ?? []);
    },
  };
}

function createInstanceSet(
  offering: readonly Instance[],
): InstanceSet & { update(all: readonly Instance[]): void } {
  const notice = createNotice();
  let members = eligible(offering);
  return {
    current: () => members,
    changed: (signal) => notice.next(signal),
    update(offering) {
      const next = eligible(offering);
      if (next.length === members.length && next.every((instance, index) => instance === members[index]))
        return;
      members = next;
      notice.notify();
    },
  };
}

function groupByService(instances: Iterable<Instance>): Map<string, Instance[]> {
  const groups = new Map<string, Instance[]>();
  for (const instance of instances) {
    for (const service of instance.services) {
      const group = groups.get(service);
      if (group === undefined) groups.set(service, [instance]);
      else group.push(instance);
    }
  }
  return groups;
}
