/**
 * Resolves services by watching the registry of any one gateway. What is known stays known: while no gateway answers,
 * the last instances are kept for ever. An instance that drains or says goodbye leaves at once.
 */
import type { WatchResponse } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { sleep, systemClock, type Clock, type Random } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { silentLog, type Logger } from "../observe/log.ts";
import { abortable } from "./abortable.ts";
import { reconnectDelayMs } from "./backoff.ts";
import { dialRegistry, type DialRegistry } from "./dial.ts";
import { createInstanceSets } from "./instance-sets.ts";
import type { Resolver } from "./instances.ts";
import { KnownInstances } from "./known-instances.ts";

/** A gateway sends something every 5 s; after this much silence the connection is dead. */
export const SILENCE_MS = 15_000;

/** Options of a resolver. */
export interface ResolverOptions {
  /** Control addresses of the gateways, `host:port`. One that answers is enough. */
  readonly endpoints: readonly string[];
  readonly log?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** How to reach a gateway. Default: a channel of the mesh. */
  readonly dial?: DialRegistry;
}

/**
 * Makes a resolver and begins to watch, at a random endpoint; when that fails, at the next one.
 *
 * @throws TypeError without endpoints.
 */
export function createResolver(options: ResolverOptions): Resolver {
  const {
    endpoints,
    log = silentLog,
    clock = systemClock,
    random = Math.random,
    dial = dialRegistry,
  } = options;
  if (endpoints.length === 0) throw new TypeError("a resolver needs at least one endpoint");
  const closing = new AbortController();
  const known = new KnownInstances();
  const sets = createInstanceSets();
  const ready = Promise.withResolvers<void>();
  let failures = 0;

  const take = ({ event }: WatchResponse): void => {
    if (event.case === "snapshot") known.reset(event.value.instances, clock.monotonic());
    if (event.case === "delta") {
      for (const instance of event.value.upserts) known.upsert(instance);
      for (const id of event.value.removedInstanceIds) known.remove(id, true, clock.monotonic());
    }
    known.age(clock.monotonic());
    sets.update(known.published().values());
    ready.resolve();
    failures = 0;
  };

  const run = async (): Promise<void> => {
    for (let turn = Math.floor(random() * endpoints.length); !closing.signal.aborted; turn += 1) {
      const endpoint = endpoints[turn % endpoints.length] ?? "";
      try {
        await watchEndpoint(dial, endpoint, take, clock, closing.signal);
      } catch (error) {
        if (failures === 0 && !closing.signal.aborted)
          log.warn(
            { endpoint, problem: messageOf(error) },
            "the registry does not answer; going on with what is known",
          );
      }
      failures += 1;
      await sleep(reconnectDelayMs(failures, random), closing.signal, clock).catch(() => undefined);
    }
  };
  const running = run();

  return {
    watch: (service) => sets.watch(service),
    ready: (_service, signal) => abortable(ready.promise, signal),
    async close() {
      closing.abort();
      await running;
    },
  };
}

/** Watches until the stream fails or is silent for too long. */
async function watchEndpoint(
  dial: DialRegistry,
  endpoint: string,
  take: (response: WatchResponse) => void,
  clock: Clock,
  closing: AbortSignal,
): Promise<void> {
  const connection = dial(endpoint);
  const dead = new AbortController();
  const listen = () => clock.after(SILENCE_MS, () => dead.abort(new Error(`silent for ${SILENCE_MS} ms`)));
  let cancel = listen();
  try {
    const signal = AbortSignal.any([dead.signal, closing]);
    for await (const response of connection.client.watch({}, { signal })) {
      cancel();
      cancel = listen();
      take(response);
    }
  } finally {
    cancel();
    await connection.close();
  }
}
