/** One observable set of callable instances for each service that somebody asked for. */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { eligible, isServing } from "./eligible.ts";
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
  let serving: readonly Instance[] = offering.filter(isServing);
  return {
    current: () => members,
    serving: () => serving,
    changed: (signal) => notice.next(signal),
    update(offering) {
      const before = [members, serving];
      members = unlessSame(members, eligible(offering));
      serving = unlessSame(serving, offering.filter(isServing));
      if (members !== before[0] || serving !== before[1]) notice.notify();
    },
  };
}

/** What is new, or the same array as before if nothing is. */
function unlessSame(before: readonly Instance[], now: readonly Instance[]): readonly Instance[] {
  const same = now.length === before.length && now.every((instance, index) => instance === before[index]);
  return same ? before : now;
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
