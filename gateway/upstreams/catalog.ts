/**
 * Turns who is alive into what can be called. For each descriptor digest in the registry one instance is asked for its
 * API by reflection; each change makes a new route table, which replaces the old one in one step. What is wrong with an
 * API is told to the registry and the log, and costs nothing else.
 */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { sleep, type Clock, type Random } from "../../mesh/clock.ts";
import { messageOf } from "../../mesh/errors.ts";
import type { Logger } from "../../mesh/observe/log.ts";
import { reconnectDelayMs } from "../../mesh/registry/backoff.ts";
import { filesDigest } from "../../mesh/registry/digest.ts";
import type { Resolver } from "../../mesh/registry/instances.ts";
import { createNotice } from "../../mesh/registry/notice.ts";
import type { Registry } from "../registry/registry.ts";
import { buildRouteTable } from "../routes/table.ts";
import type { RouteProblem, RouteTable } from "../routes/types.ts";
import { createCallable } from "./callable.ts";
import { KnownApis } from "./known-apis.ts";
import type { LearnedApi } from "./reflect.ts";

/** What a catalog needs. */
export interface CatalogOptions {
  readonly registry: Registry;
  /** Asks the server at an address for its API. */
  readonly learn: (address: string, signal: AbortSignal) => Promise<LearnedApi>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** Everything that can be called. */
export interface Catalog {
  /** The table of the moment. */
  readonly table: () => RouteTable;
  /** What was refused, and why. */
  readonly problems: () => readonly RouteProblem[];
  /** Finds the instances that have a method: see `callTarget`. */
  readonly resolver: Resolver;
  /** Adds an API that somebody else has learned, and answers with its digest. */
  add(api: LearnedApi): string;
  /** Resolves once the API of every instance that was known at this time is live, or could not be learned at first. */
  settled(signal: AbortSignal): Promise<void>;
  /** Calls back with each new table. */
  onTable(listener: (table: RouteTable) => void): void;
  /** Stops following the registry. */
  close(): void;
}

/** Makes a catalog and begins to follow the registry. */
export function createCatalog(options: CatalogOptions): Catalog {
  const { registry, log } = options;
  const apis = new KnownApis();
  const callable = createCallable();
  const closing = new AbortController();
  const progress = createNotice();
  const listeners = new Set<(table: RouteTable) => void>();
  const learning = new Map<string, { tried: boolean }>();
  /** Digests of instances that did not say theirs, by instance and incarnation. */
  const ownDigests = new Map<string, string>();
  let built: {
    readonly key: readonly unknown[];
    readonly table: RouteTable;
    readonly problems: RouteProblem[];
  } = {
    key: [],
    ...buildRouteTable([]),
  };

  /** Names the API of an instance. Servers of one digest may offer different services of the same files. */
  const apiOf = (instance: Instance): string | undefined => {
    const digest = instance.descriptorDigest || ownDigests.get(incarnationOf(instance));
    return digest === undefined ? undefined : apiName(digest, instance.services);
  };

  /** What the mesh keeps to itself is not there for callers of the gateway. */
  const instancesNow = (): readonly Instance[] =>
    [...registry.instances().values()].filter(({ internal }) => !internal);

  function refresh(): void {
    const instances = instancesNow();
    const current = apis.current(instances, apiOf);
    if (!sameMembers(current, built.key)) {
      built = { key: current, ...buildRouteTable(current) };
      report(built.problems, log);
    }
    callable.update(instances, apiOf, built.table);
    for (const instance of instances) {
      registry.problems.set(instance.instanceId, problemsOf(instance, apiOf(instance), built.problems));
    }
    for (const listener of listeners) listener(built.table);
    progress.notify();
  }

  /** Asks one instance after the other of those with the same API, until one answers. */
  async function learn(key: string, state: { tried: boolean }): Promise<void> {
    for (let failures = 0; !closing.signal.aborted;) {
      const candidates = instancesNow().filter((instance) => learningKey(instance) === key);
      if (candidates.length === 0) return;
      const instance = candidates[failures % candidates.length]!;
      try {
        const api = await options.learn(instance.address, closing.signal);
        const digest = instance.descriptorDigest || filesDigest(api.files);
        if (instance.descriptorDigest === "") ownDigests.set(incarnationOf(instance), digest);
        apis.add(apiName(digest, instance.services), { ...api, services: instance.services });
        log.info({ services: api.services, address: instance.address }, "learned an API");
        return;
      } catch (error) {
        failures += 1;
        if (failures === candidates.length) giveUpForNow(state, candidates, error);
        await sleep(reconnectDelayMs(failures, options.random), closing.signal, options.clock).catch(
          () => undefined,
        );
      }
    }
  }

  function giveUpForNow(state: { tried: boolean }, instances: readonly Instance[], error: unknown): void {
    state.tried = true;
    const services = [...new Set(instances.flatMap(({ services }) => services))];
    log.warn({ services, problem: messageOf(error) }, "an API cannot be learned; trying on");
    for (const { instanceId } of instances) {
      registry.problems.set(instanceId, [`its API cannot be learned by reflection: ${messageOf(error)}`]);
    }
    progress.notify();
  }

  function learnWhatIsNew(): void {
    for (const instance of instancesNow()) {
      const key = learningKey(instance);
      const api = apiOf(instance);
      if ((api !== undefined && apis.has(api)) || learning.has(key)) continue;
      if (instance.state === InstanceState.DRAINING) continue;
      const state = { tried: false };
      learning.set(key, state);
      void learn(key, state).finally(() => {
        learning.delete(key);
        refresh();
      });
    }
  }

  const stop = registry.watch(() => {
    learnWhatIsNew();
    refresh();
  });

  return {
    table: () => built.table,
    problems: () => built.problems,
    resolver: {
      watch: (target) => callable.watch(target),
      ready: () => registry.ready,
      close: () => Promise.resolve(),
    },
    add(api) {
      const digest = filesDigest(api.files);
      apis.add(apiName(digest, api.services), api);
      return digest;
    },
    async settled(signal) {
      while ([...learning.values()].some(({ tried }) => !tried)) await progress.next(signal);
    },
    onTable: (listener) => void listeners.add(listener),
    close() {
      stop();
      closing.abort();
    },
  };
}

function incarnationOf({ instanceId, incarnation }: Instance): string {
  return `${instanceId}/${incarnation}`;
}

/** Instances with the same key are asked once for all. */
function learningKey(instance: Instance): string {
  const { descriptorDigest, services } = instance;
  return descriptorDigest === "" ? incarnationOf(instance) : apiName(descriptorDigest, services);
}

function apiName(digest: string, services: readonly string[]): string {
  return `${digest} ${services.toSorted().join(" ")}`;
}

function problemsOf(
  instance: Instance,
  digest: string | undefined,
  problems: readonly RouteProblem[],
): string[] {
  return problems
    .filter((problem) => problem.digest === digest && instance.services.includes(problem.service))
    .map(
      ({ service, method, message }) => `${service}${method === undefined ? "" : `.${method}`}: ${message}`,
    );
}

function report(problems: readonly RouteProblem[], log: Logger): void {
  for (const { service, method, message } of problems)
    log.warn({ service, method }, `a route is refused: ${message}`);
}

function sameMembers(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}
