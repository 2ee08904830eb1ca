/**
 * What a process needs to take part in the mesh, made once in its `main.ts` and passed on from there:
 *
 *     const config = configOrExit();
 *     const mesh = createMesh({ name: "order", config });
 *     const inventory = mesh.client(InventoryService);      // typed, balanced, retried, traced
 *     await serve(mesh, { services: [service(OrderService, createOrderService({ inventory }))] });
 */
import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client, type Interceptor, type Transport } from "@connectrpc/connect";
import { setLogger } from "@grpc/grpc-js";
import type { Config } from "./config.ts";
import { createLog, type Logger } from "./observe/log.ts";
import { createMetrics, type Metrics } from "./observe/metrics.ts";
import type { Resolver } from "./registry/instances.ts";
import { createResolver } from "./registry/resolver.ts";
import { createStaticResolver } from "./registry/static-resolver.ts";
import { createChannel, type Channel } from "./rpc/channel.ts";
import { createTransport } from "./rpc/transport.ts";

/** Who takes part, and how it calls. */
export interface MeshOptions {
  /** Name of the process in logs and in the registry, such as `order`. */
  readonly name: string;
  readonly config: Config;
  /** Connect interceptors of every client, outermost first. */
  readonly interceptors?: readonly Interceptor[];
  /** Deadline of unary calls that bring none and are not made on behalf of another call. Default 15 000 ms. */
  readonly timeoutMs?: number;
  /** Finds instances. Default: the registry at `config.registry.endpoints`, or none at all if it has none. */
  readonly resolver?: Resolver;
  /** Where the log goes. Default: standard output. */
  readonly log?: Logger;
}

/** The mesh, as one process sees it. */
export interface Mesh {
  readonly name: string;
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly resolver: Resolver;
  /** Sends calls as bytes. */
  readonly channel: Channel;
  /** Sends calls as messages. */
  readonly transport: Transport;
  /** A client of a service, wherever its instances are. */
  client<Desc extends DescService>(service: Desc): Client<Desc>;
  /** Closes all connections and stops watching the registry. `serve` does it last. */
  close(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 15_000;

/** Joins the mesh as a caller. Nothing is dialled before it is needed. */
export function createMesh(options: MeshOptions): Mesh {
  const { name, config } = options;
  const number = config.instance?.number ?? 0;
  const log =
    options.log ??
    createLog({
      service: name,
      level: config.log?.level ?? "",
      ...(number > 0 && { instance: `${name}-${number}` }),
    });
  setLogger({ error: (...words: unknown[]) => log.debug({ from: "grpc-js" }, words.join(" ")) });
  const metrics = createMetrics();
  const resolver = options.resolver ?? resolverOf(config, log);
  const channel = createChannel({ resolver, log, metrics });
  const transport = createTransport(channel, {
    interceptors: options.interceptors ?? [],
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
  return {
    name,
    config,
    log,
    metrics,
    resolver,
    channel,
    transport,
    client: (service) => createClient(service, transport),
    async close() {
      await channel.close();
      await resolver.close();
    },
  };
}

function resolverOf(config: Config, log: Logger): Resolver {
  const endpoints = config.registry?.endpoints ?? [];
  return endpoints.length === 0 ? createStaticResolver([]) : createResolver({ endpoints, log });
}
