/**
 * What is known of the instances of a mesh, kept safe from a registry that errs. An instance that said goodbye leaves at
 * once. One that vanished without a word leaves too, unless a service would lose more than half of its instances that
 * way: then they stay, marked suspect, because a registry that lost its data looks just like that (Eureka's
 * self-preservation; static stability). No time and no sockets in here.
 */
import { clone, equals } from "@bufbuild/protobuf";
import { InstanceSchema, InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";

/** What a whole answer of the registry lacks is kept as it was for this long, so that it can register again. */
export const GRACE_MS = 15_000;

/** How long a vanished instance counts when it is asked whether more than half have vanished. */
export const FORGET_AFTER_MS = 60_000;

/** How long vanished instances are kept besides living siblings. Without any sibling they are kept for ever. */
export const HOLD_FOR_MS = 300_000;

interface Lost {
  readonly instance: Instance;
  readonly sinceMs: number;
  /** It was in no answer, but nobody said either that its lease had ended. */
  readonly inGrace: boolean;
}

/** Instances by their id. Those that are handed out are shared: never change them. */
export class KnownInstances {
  readonly #live = new Map<string, Instance>();
  readonly #lost = new Map<string, Lost>();
  #published: ReadonlyMap<string, Instance> | undefined = new Map();

  /** What callers may rely on: the living instances, and the vanished ones that are held. The same map until it changes. */
  published(): ReadonlyMap<string, Instance> {
    return (this.#published ??= this.#publish());
  }

  /** An instance that the registry says is alive. */
  live(instanceId: string): Instance | undefined {
    return this.#live.get(instanceId);
  }

  /** Takes over a whole answer of the registry. Instances that it lacks have vanished, after a time of grace. */
  reset(instances: readonly Instance[], nowMs: number): void {
    const present = new Set(instances.map(({ instanceId }) => instanceId));
    for (const [id, instance] of this.#live) {
      if (!present.has(id)) this.#lose(instance, nowMs, true);
    }
    for (const instance of instances) this.upsert(instance);
  }

  /** An instance is new or has changed. An older incarnation of one that is known is ignored. */
  upsert(instance: Instance): void {
    const before = this.#live.get(instance.instanceId);
    if (before !== undefined && before.incarnation > instance.incarnation) return;
    if (before !== undefined && equals(InstanceSchema, before, instance)) return;
    this.#live.set(instance.instanceId, instance);
    this.#lost.delete(instance.instanceId);
    this.#published = undefined;
  }

  /** An instance is gone: it said so (`deregistered`), or its lease ended. */
  remove(instanceId: string, deregistered: boolean, nowMs: number): void {
    const instance = this.#live.get(instanceId);
    if (instance !== undefined && !deregistered) return this.#lose(instance, nowMs, false);
    this.#settle();
    this.#live.delete(instanceId);
    this.#lost.delete(instanceId);
    this.#published = undefined;
  }

  /** Ends times of grace, and forgets what vanished long ago. Call it every second or so. */
  age(nowMs: number): void {
    if (this.#lost.size === 0) return;
    for (const { instance, sinceMs, inGrace } of this.#lost.values()) {
      if (inGrace && nowMs - sinceMs >= GRACE_MS) this.#lose(instance, sinceMs, false);
    }
    const counts = this.#countByService();
    for (const [id, lost] of this.#lost) {
      if (isRemembered(lost, nowMs - lost.sinceMs, counts)) continue;
      this.#lost.delete(id);
      this.#published = undefined;
    }
  }

  /** Vanished instances that are not held now are not missed any more: a farewell must not bring them back. */
  #settle(): void {
    if (this.#lost.size === 0) return;
    const counts = this.#countByService();
    for (const [id, lost] of this.#lost) {
      if (!isHeld(lost, counts)) this.#lost.delete(id);
    }
  }

  #lose(instance: Instance, sinceMs: number, inGrace: boolean): void {
    const { instanceId } = instance;
    this.#live.delete(instanceId);
    // One that was not serving is not missed.
    if (instance.state !== InstanceState.SERVING) this.#lost.delete(instanceId);
    else
      this.#lost.set(instanceId, {
        instance: inGrace ? instance : withSuspect(instance, true),
        sinceMs,
        inGrace,
      });
    this.#published = undefined;
  }

  #publish(): ReadonlyMap<string, Instance> {
    const counts = this.#countByService();
    const held = [...this.#lost].filter(([, lost]) => isHeld(lost, counts));
    return new Map([...this.#live, ...held.map(([id, { instance }]) => [id, instance] as const)]);
  }

  #countByService(): Map<string, Count> {
    const counts = new Map<string, Count>();
    const add = ({ services, state }: Instance, of: keyof Count) => {
      if (state !== InstanceState.SERVING) return;
      for (const service of services) {
        const count = counts.get(service) ?? { live: 0, lost: 0 };
        count[of] += 1;
        counts.set(service, count);
      }
    };
    for (const instance of this.#live.values()) add(instance, "live");
    for (const { instance } of this.#lost.values()) add(instance, "lost");
    return counts;
  }
}

/** The instance with or without the mark; the same object if that changes nothing. */
export function withSuspect(instance: Instance, suspect: boolean): Instance {
  if (instance.suspect === suspect) return instance;
  const copy = clone(InstanceSchema, instance);
  copy.suspect = suspect;
  return copy;
}

interface Count {
  live: number;
  lost: number;
}

function isHeld({ instance, inGrace }: Lost, counts: ReadonlyMap<string, Count>): boolean {
  const isMajorityLost = ({ live, lost }: Count) => live < lost;
  return inGrace || countsOf(instance, counts).some(isMajorityLost);
}

function isRemembered(lost: Lost, ageMs: number, counts: ReadonlyMap<string, Count>): boolean {
  if (!isHeld(lost, counts)) return ageMs < FORGET_AFTER_MS;
  return ageMs < HOLD_FOR_MS || countsOf(lost.instance, counts).some(({ live }) => live === 0);
}

function countsOf({ services }: Instance, counts: ReadonlyMap<string, Count>): Count[] {
  return services.map((service) => counts.get(service) ?? { live: 0, lost: 0 });
}

/** What differs between two states of knowledge. */
export interface InstanceChanges {
  readonly added: readonly Instance[];
  readonly changed: readonly Instance[];
  readonly removed: readonly Instance[];
}

/** Compares by identity, which `KnownInstances` preserves for what did not change. */
export function differences(
  before: ReadonlyMap<string, Instance>,
  after: ReadonlyMap<string, Instance>,
): InstanceChanges {
  const added: Instance[] = [];
  const changed: Instance[] = [];
  for (const [id, instance] of after) {
    const old = before.get(id);
    if (old === undefined) added.push(instance);
    else if (old !== instance) changed.push(instance);
  }
  const removed = [...before].filter(([id]) => !after.has(id)).map(([, instance]) => instance);
  return { added, changed, removed };
}
