/**
 * The one list of instances that everybody in a gateway reads: what is known through the store, and what the gateway
 * vouches for itself. Readers see whole states only, and hear of every change.
 */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { createInstanceSets, type InstanceSets } from "../../mesh/registry/instance-sets.ts";
import { differences, KnownInstances, type InstanceChanges } from "../../mesh/registry/known-instances.ts";

/** Hears of changes. It must not throw. */
export type ChangeListener = (changes: InstanceChanges) => void;

/** The list. */
export interface Roster {
  /** What came from the store. Whoever changes it calls `publish`. */
  readonly known: KnownInstances;
  /** Callable instances by service. */
  readonly sets: InstanceSets;
  /** All instances by id, whatever their state. A new map after every change. */
  instances(): ReadonlyMap<string, Instance>;
  /** Calls back with all instances as added, now, and then with every change. Returns how to stop. */
  watch(listener: ChangeListener): () => void;
  /** Puts in an instance that is not in the store. */
  pin(instance: Instance): void;
  /** Takes out a pinned instance. */
  unpin(instanceId: string): void;
  /** Makes what changed visible, all at once. */
  publish(): void;
}

/** Makes an empty list. */
export function createRoster(): Roster {
  const known = new KnownInstances();
  const pinned = new Map<string, Instance>();
  const sets = createInstanceSets();
  const listeners = new Set<ChangeListener>();
  let current: ReadonlyMap<string, Instance> = new Map();

  const publish = (): void => {
    const next = pinned.size === 0 ? known.published() : new Map([...known.published(), ...pinned]);
    const changes = differences(current, next);
    if (changes.added.length + changes.changed.length + changes.removed.length === 0) return;
    current = next;
    sets.update(current.values());
    for (const listener of listeners) listener(changes);
  };

  return {
    known,
    sets,
    publish,
    instances: () => current,
    watch(listener) {
      listeners.add(listener);
      if (current.size > 0) listener({ added: [...current.values()], changed: [], removed: [] });
      return () => listeners.delete(listener);
    },
    pin(instance) {
      pinned.set(instance.instanceId, instance);
      publish();
    },
    unpin(instanceId) {
      pinned.delete(instanceId);
      publish();
    },
  };
}
