/** The members of the ring from the registry's instances. */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { InstanceSet } from "../registry/instances.ts";
import { createRing, type Ring } from "./ring.ts";

/** What nodes and clients make their ring of. */
export interface Membership {
  readonly ring: Ring;
  addressOf(node: string): string | undefined;
}

/** The service whose instances are the nodes. */
export const CACHE_SERVICE = "heddle.cache.v1.CacheService";

/** The stable name of a node: a node that restarts on its address is the same member. */
export function nodeName(instance: Pick<Instance, "address">): string {
  return instance.address;
}

/** The ring of these instances. */
export function membershipOf(
  instances: readonly Pick<Instance, "address" | "zone" | "weight">[],
  replicas: number,
): Membership {
  const byName = new Map(instances.map((instance) => [nodeName(instance), instance]));
  const members = [...byName].map(([id, { zone, weight }]) => ({ id, zone, weight: Math.max(1, weight) }));
  return { ring: createRing(members, replicas), addressOf: (node) => byName.get(node)?.address };
}

/**
 * Calls back with the membership now, if there is any, and after every change, until the signal aborts. Leases alone
 * decide: who is merely silent stays a member, since each change of the ring moves entries. Operations do not wait for
 * that, they go to the next owner at once.
 */
export async function watchMembership(
  set: InstanceSet,
  replicas: number,
  signal: AbortSignal,
  onChange: (membership: Membership) => void,
): Promise<void> {
  let digest = "";
  while (!signal.aborted) {
    const changed = set.changed(signal);
    const membership = membershipOf(set.serving(), replicas);
    // Nobody there means nobody known: what was known stays.
    if (membership.ring.members.length > 0 && membership.ring.digest !== digest) {
      digest = membership.ring.digest;
      onChange(membership);
    }
    await changed.catch(() => undefined);
  }
}
