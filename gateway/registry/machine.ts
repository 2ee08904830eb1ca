/**
 * The rules of the registry as a machine with no clock, no timers and no sockets: the same commands at the same times
 * give the same state. `stores/registry.lua` says the same to Redis; one test runs both side by side.
 */
import { clone, equals } from "@bufbuild/protobuf";
import { InstanceSchema, InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { withSuspect } from "../../mesh/registry/known-instances.ts";
import {
  DELTA_LOG_LENGTH,
  leaseMsOf,
  suspectAfterMs,
  unattendedAfterMs,
  type Change,
  type Command,
  type Outcome,
} from "./store.ts";

/** A change before it has its number. */
type Unnumbered =
  | { readonly kind: "upsert"; readonly instance: Instance }
  | { readonly kind: "remove"; readonly instanceId: string; readonly deregistered: boolean };

interface Entry {
  readonly instance: Instance;
  expiresMs: number;
}

/** Instances, their leases, and the last changes. */
export class RegistryMachine {
  readonly #leaseMs: number;
  readonly #logLength: number;
  readonly #entries = new Map<string, Entry>();
  /** A ring: the change with number n lies at n modulo its length. */
  readonly #log: Change[] = [];
  #number = 0;
  #reapedMs: number | undefined;

  constructor(leaseMs: number, logLength = DELTA_LOG_LENGTH) {
    this.#leaseMs = leaseMs;
    this.#logLength = logLength;
  }

  /** Number of the last change. */
  get number(): number {
    return this.#number;
  }

  /** All instances. */
  instances(): Instance[] {
    return [...this.#entries.values()].map(({ instance }) => instance);
  }

  /** The changes after a number, or undefined where they are no longer known. */
  changesAfter(number: number): readonly Change[] | undefined {
    if (number > this.#number || number < this.#number - this.#logLength) return undefined;
    const changes: Change[] = [];
    for (let next = number + 1; next <= this.#number; next += 1) {
      const change = this.#log[next % this.#logLength];
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  /** Carries out a command. `nowMs` must not go back. */
  apply(command: Command, nowMs: number): Outcome {
    this.#reapedMs ??= nowMs;
    switch (command.kind) {
      case "register":
        return this.#register(command.instance, nowMs);
      case "beat":
        return this.#beat(command.instanceId, command.incarnation, nowMs);
      case "suspect":
        return this.#suspect(command.instanceId, command.incarnation);
      case "deregister":
        return this.#deregister(command.instanceId, command.incarnation);
      case "reap":
        return this.#reap(nowMs);
    }
  }

  #register(announced: Instance, nowMs: number): Outcome {
    const before = this.#entries.get(announced.instanceId)?.instance;
    if (before !== undefined && before.incarnation > announced.incarnation) return "stale";
    const instance = asStored(announced);
    const unchanged = before !== undefined && equals(InstanceSchema, before, instance);
    this.#entries.set(instance.instanceId, {
      instance: unchanged ? before : instance,
      expiresMs: nowMs + leaseMsOf(instance, this.#leaseMs),
    });
    if (!unchanged) this.#record({ kind: "upsert", instance });
    return "done";
  }

  #beat(instanceId: string, incarnation: bigint, nowMs: number): Outcome {
    const entry = this.#entries.get(instanceId);
    if (entry === undefined || entry.instance.incarnation < incarnation) return "unknown";
    if (entry.instance.incarnation > incarnation) return "stale";
    entry.expiresMs = nowMs + leaseMsOf(entry.instance, this.#leaseMs);
    this.#mark(entry, false);
    return "done";
  }

  #suspect(instanceId: string, incarnation: bigint): Outcome {
    const entry = this.#entries.get(instanceId);
    if (entry === undefined || entry.instance.incarnation < incarnation) return "unknown";
    if (entry.instance.incarnation > incarnation) return "stale";
    this.#mark(entry, true);
    return "done";
  }

  #deregister(instanceId: string, incarnation: bigint): Outcome {
    const entry = this.#entries.get(instanceId);
    if (entry === undefined) return "unknown";
    if (entry.instance.incarnation > incarnation) return "stale";
    this.#remove(instanceId, true);
    return "done";
  }

  #reap(nowMs: number): Outcome {
    const unattendedMs = nowMs - (this.#reapedMs ?? nowMs);
    this.#reapedMs = nowMs;
    for (const [id, entry] of this.#entries) {
      const leaseMs = leaseMsOf(entry.instance, this.#leaseMs);
      if (unattendedMs > unattendedAfterMs(leaseMs)) entry.expiresMs = nowMs + leaseMs;
      else if (entry.expiresMs <= nowMs) this.#remove(id, false);
      else if (entry.expiresMs <= nowMs + leaseMs - suspectAfterMs(leaseMs)) this.#mark(entry, true);
    }
    return "done";
  }

  #mark(entry: Entry, suspect: boolean): void {
    const instance = withSuspect(entry.instance, suspect);
    if (instance === entry.instance) return;
    this.#entries.set(instance.instanceId, { instance, expiresMs: entry.expiresMs });
    this.#record({ kind: "upsert", instance });
  }

  #remove(instanceId: string, deregistered: boolean): void {
    this.#entries.delete(instanceId);
    this.#record({ kind: "remove", instanceId, deregistered });
  }

  #record(change: Unnumbered): void {
    this.#number += 1;
    this.#log[this.#number % this.#logLength] = { ...change, number: this.#number };
  }
}

/** An announced instance without what only the registry may say of it. One that names no state serves. */
export function asStored(announced: Instance): Instance {
  const instance = clone(InstanceSchema, announced);
  if (instance.state === InstanceState.UNSPECIFIED) instance.state = InstanceState.SERVING;
  instance.suspect = false;
  instance.problems = [];
  return instance;
}
