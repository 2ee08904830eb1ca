/** A gateway, put together: registry, catalog, edge and their three ports. Wrong addresses are told before anything runs. */
import type { Config } from "../mesh/config.ts";
import { durationMs } from "../mesh/config.ts";
import { CacheAdminService } from "../gen/ts/heddle/gateway/v1/cache_admin_service_pb.ts";
import { RegistryService } from "../gen/ts/heddle/registry/v1/registry_pb.ts";
import { sleep, systemClock } from "../mesh/clock.ts";
import { messageOf } from "../mesh/errors.ts";
import { listenAdmin, type Admin } from "../mesh/observe/admin.ts";
import { createLog, type Logger } from "../mesh/observe/log.ts";
import { createMetrics } from "../mesh/observe/metrics.ts";
import { createChannel } from "../mesh/rpc/channel.ts";
import { createHealth, type HealthState } from "../mesh/rpc/health.ts";
import { createRpcServer, service } from "../mesh/rpc/server.ts";
import { createCacheAdmin } from "./admin/cache-admin.ts";
import { gatewayPages } from "./admin/pages.ts";
import type { EdgeLimits } from "./edge/calls.ts";
import { createEdgeMetrics } from "./edge/edge-metrics.ts";
import { createEdge } from "./edge/edge.ts";
import { createListener } from "./edge/listener.ts";
import { platformHandlers } from "./edge/platform.ts";
import { createResponseCache } from "./policy/response-cache/response-cache.ts";
import { createRegistry } from "./registry/registry.ts";
import { createRegistryService } from "./registry/service.ts";
import { createMemoryStore } from "./registry/stores/memory.ts";
import { createRedisStore } from "./registry/stores/redis.ts";
import type { RouteTable } from "./routes/types.ts";
import { createCatalog, type Catalog } from "./upstreams/catalog.ts";
import { learnAt } from "./upstreams/dial.ts";
import { followUpstream } from "./upstreams/upstream.ts";

/** A running gateway. */
export interface Gateway {
  readonly log: Logger;
  /** The addresses that it got. */
  readonly addresses: { readonly listen: string; readonly control: string; readonly admin: string };
  /** Drains and stops. */
  stop(): Promise<void>;
}

/** A gateway could not start, for a reason that its operator can change. */
export class StartError extends Error {}

const DRAIN_TIMEOUT_MS = 25_000;

/** How long new connections are still taken after readiness is off, so that load balancers hear of it first. */
const LAME_DUCK_MS = 1000;

/** How long the registry's callers get to go on to another gateway. */
const FAREWELL_MS = 1000;

/**
 * Starts a gateway. Resolves once its ports are open; `/readyz` says when its routes are live.
 *
 * @throws StartError if a port cannot be opened; nothing runs then.
 */
export async function startGateway(config: Config): Promise<Gateway> {
  const number = config.instance?.number ?? 0;
  const instance = number > 0 ? { instance: `gateway-${number}` } : {};
  const log = createLog({ service: "gateway", level: config.log?.level ?? "", ...instance });
  const metrics = createMetrics();
  const stopping = new AbortController();
  const environment = { log, clock: systemClock, random: Math.random };
  const snapshotFile = config.redis?.snapshotFile ?? "";
  const registry = createRegistry({
    ...environment,
    store: storeOf(config),
    ...(snapshotFile !== "" && { snapshotFile }),
    metrics: metrics.registry,
  });
  const catalog = createCatalog({ ...environment, registry, learn: learnAt });
  const channel = createChannel({ ...environment, resolver: catalog.resolver, metrics });
  const limits = edgeLimits(config);
  const health = createHealth([]);
  catalog.onTable(healthOfTables(health));
  const responses = createResponseCache({
    ...environment,
    resolver: registry.resolver,
    metrics: metrics.registry,
    loadTimeoutMs: limits.defaultTimeoutMs,
  });
  const cacheAdmin = createCacheAdmin({ responses, table: catalog.table, log });
  const edge = createEdge(
    {
      table: catalog.table,
      send: channel.call,
      responses,
      log,
      metrics: createEdgeMetrics(metrics.registry),
      limits,
    },
    platformHandlers(health, catalog.table, limits.maxBodyBytes),
  );
  const listener = createListener(edge);
  const control = createRpcServer({
    services: [
      service(RegistryService, createRegistryService(registry)),
      service(CacheAdminService, cacheAdmin.service),
    ],
    log,
    metrics,
  });

  let notReady: string | undefined = "learning routes";
  let admin: Admin | undefined;
  const close = async (): Promise<void> => {
    stopping.abort();
    catalog.close();
    await registry.close();
    await control.drain(FAREWELL_MS);
    await channel.close();
    await responses.close();
    await admin?.close();
  };
  const addresses = { listen: "", control: "", admin: "" };
  try {
    addresses.listen = await opened("listen", listener.listen(config.listen || "127.0.0.1:8080"));
    addresses.control = await opened("control", control.listen(config.control || "127.0.0.1:7070"));
    const pages = gatewayPages(registry, catalog);
    const listening = listenAdmin(config.admin || "127.0.0.1:9100", {
      metrics,
      notReady: () => notReady,
      pages,
      actions: { "/cache:purge": cacheAdmin.purge },
    });
    admin = await opened("admin", listening);
    addresses.admin = admin.address;
  } catch (error) {
    await Promise.all([listener.drain(0), close()]);
    throw error;
  }
  log.info(addresses, "listening");

  const follow = { ...environment, registry, catalog, signal: stopping.signal };
  const upstreams = config.upstreams.map((upstream) => followUpstream(upstream, follow));
  void whenReady(registry.ready, upstreams, catalog, stopping.signal).then((ready) => {
    if (ready && notReady === "learning routes") notReady = undefined;
    if (ready) log.info({ ...addresses, services: catalog.table().services }, "ready");
  });

  return {
    log,
    addresses,
    async stop() {
      notReady = "draining";
      health.drain();
      await sleep(LAME_DUCK_MS);
      await listener.drain(durationMs(config.drainTimeout, DRAIN_TIMEOUT_MS));
      await close();
    },
  };
}

function storeOf({ redis }: Config) {
  if (redis === undefined || redis.url === "") return createMemoryStore();
  return createRedisStore({ url: redis.url, keyPrefix: redis.keyPrefix || "heddle" });
}

function edgeLimits({ edge }: Config): EdgeLimits {
  return {
    maxBodyBytes: edge?.maxBodyBytes || 4 * 1024 * 1024,
    defaultTimeoutMs: durationMs(edge?.defaultTimeout, 15_000),
    maxTimeoutMs: durationMs(edge?.maxTimeout, 60_000),
    streamIdleMs: durationMs(edge?.streamIdleTimeout, 1_800_000),
    ignoreUnknownFields: edge?.ignoreUnknownFields ?? false,
    tokenCookies: edge?.tokenCookies ?? false,
  };
}

/** Names the key that changes the address, whatever went wrong with it. */
async function opened<T>(key: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    const message = `${key}: ${messageOf(error)}; set another address with the key "${key}"`;
    throw new StartError(message, { cause: error });
  }
}

async function whenReady(
  registryReady: Promise<void>,
  upstreams: readonly Promise<void>[],
  catalog: Catalog,
  signal: AbortSignal,
): Promise<boolean> {
  await Promise.all([registryReady, ...upstreams]);
  return catalog.settled(signal).then(
    () => !signal.aborted,
    () => false,
  );
}

/** Keeps the health of each service in step with the table. */
function healthOfTables(health: HealthState): (table: RouteTable) => void {
  let known: readonly string[] = [];
  return ({ services }) => {
    for (const name of known) if (!services.includes(name)) health.set(name, false);
    for (const name of services) if (!known.includes(name)) health.set(name, true);
    known = services;
  };
}
