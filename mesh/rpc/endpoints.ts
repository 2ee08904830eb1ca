/** The endpoints that a process is connected to, shared by all services that an instance offers. */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { Clock, Random } from "../clock.ts";
import type { Connection } from "./connection.ts";
import { createEjector, type Ejector } from "./eject.ts";

/** One address, as the balancer sees it. */
export interface Endpoint {
  readonly connection: Connection;
  readonly ejector: Ejector;
  /** Calls that were sent and are not over. */
  inFlight: number;
}

/** Connects to an address; `onStateChange` is called after every change of its state. */
export type Dial = (address: string, onStateChange: () => void) => Connection;

/** What tells endpoints apart. A process that is started again at the same address is another one: dialled at once. */
export type EndpointId = Pick<Instance, "instanceId" | "address">;

/** Endpoints, connected while anybody holds them. */
export interface EndpointPool {
  /** The endpoint; connects if it is new. Give it back with `release`. */
  acquire(id: EndpointId): Endpoint;
  /** Closes the connection once nobody holds the endpoint any more. Calls that run finish. */
  release(id: EndpointId): void;
  /** Resolves when the state of any connection changes. */
  changed(): Promise<void>;
  /** Closes everything. */
  close(): void;
}

/** An empty pool. */
export function createEndpointPool(dial: Dial, random: Random): EndpointPool {
  const held = new Map<string, { readonly endpoint: Endpoint; holders: number }>();
  let change: PromiseWithResolvers<void> | undefined;
  const onStateChange = () => {
    change?.resolve();
    change = undefined;
  };
  return {
    acquire(id) {
      let entry = held.get(keyOf(id));
      if (entry === undefined) {
        const connection = dial(id.address, onStateChange);
        entry = { endpoint: { connection, ejector: createEjector({ random }), inFlight: 0 }, holders: 0 };
        held.set(keyOf(id), entry);
      }
      entry.holders += 1;
      return entry.endpoint;
    },
    release(id) {
      const entry = held.get(keyOf(id));
      if (entry === undefined || --entry.holders > 0) return;
      held.delete(keyOf(id));
      entry.endpoint.connection.close();
    },
    changed: () => (change ??= Promise.withResolvers()).promise,
    close() {
      for (const { endpoint } of held.values()) endpoint.connection.close();
      held.clear();
      onStateChange();
    },
  };
}

function keyOf({ instanceId, address }: EndpointId): string {
  return `${instanceId}@${address}`;
}

/** What a choice is made of. */
export interface Choice {
  readonly endpoint: Endpoint;
  /** Share of traffic relative to the others, at least 1. */
  readonly weight: number;
}

/**
 * Two random choices, and of these the one with less in flight (Mitzenmacher 2001). Only endpoints that are connected;
 * those that are ejected, or were tried by this call, only where nothing else is left, since the last one is never given
 * up. Undefined if none is connected.
 */
export function choose(
  choices: readonly Choice[],
  tried: ReadonlySet<string> | undefined,
  clock: Pick<Clock, "monotonic">,
  random: Random,
): Endpoint | undefined {
  const ready = choices.filter(({ endpoint }) => endpoint.connection.state() === "ready");
  if (ready.length === 0) return undefined;
  const now = clock.monotonic();
  const admitted = ready.filter(({ endpoint }) => endpoint.ejector.admits(now));
  const untried = tried?.size
    ? admitted.filter(({ endpoint }) => !tried.has(endpoint.connection.address))
    : admitted;
  const candidates = untried.length > 0 ? untried : admitted.length > 0 ? admitted : ready;
  return lessLoaded(candidates, random).endpoint;
}

function lessLoaded(candidates: readonly Choice[], random: Random): Choice {
  const first = Math.floor(random() * candidates.length);
  if (candidates.length === 1) return candidates[first]!;
  const other = (first + 1 + Math.floor(random() * (candidates.length - 1))) % candidates.length;
  const [a, b] = [candidates[first]!, candidates[other]!];
  return load(a) <= load(b) ? a : b;
}

function load({ endpoint, weight }: Choice): number {
  return (endpoint.inFlight + 1) / weight;
}
