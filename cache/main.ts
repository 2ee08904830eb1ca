/** A node of the cache tier. */
import { clone, create } from "@bufbuild/protobuf";
import { CacheService } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { ConfigSchema, InstanceSchema } from "../gen/ts/heddle/config/v1/config_pb.ts";
import { systemClock } from "../mesh/clock.ts";
import { configOrExit, durationMs } from "../mesh/config.ts";
import { createMesh } from "../mesh/mesh.ts";
import { service } from "../mesh/rpc/server.ts";
import { serve } from "../mesh/serve.ts";
import { cacheProblems } from "./config.ts";
import { observeNode } from "./metrics.ts";
import { startRuntime } from "./runtime.ts";
import { createCacheService } from "./service.ts";
import { reportWarmth, WARM_STATUS } from "./warmth.ts";

/** A node that is gone leaves the ring after so long; until then others stand in for it. */
const LEASE_MS = 3000;

const config = clone(ConfigSchema, configOrExit(cacheProblems));
let behind: string | undefined;
const runtime = await startRuntime({
  listen: config.listen || "127.0.0.1:7201",
  advertise: config.instance?.advertise ?? "",
  config: config.cache,
  behind: () => behind,
});

// Others dial the port of the node; the gRPC server stands behind it.
config.listen = "127.0.0.1:0";
config.instance ??= create(InstanceSchema);
config.instance.advertise = runtime.address;
const mesh = createMesh({ name: "cache", config });
observeNode(mesh.metrics.registry, runtime.node, runtime.settings);

const hasRegistry = (config.registry?.endpoints ?? []).length > 0;
if (!hasRegistry) runtime.joinStatic(config.cache?.members.length ? config.cache.members : [runtime.address]);

const served = await serve(mesh, {
  leaseMs: LEASE_MS,
  internal: true,
  services: [service(CacheService, createCacheService(runtime.node, runtime.settings.maxBytes))],
  stop: async () => {
    await runtime.leave(durationMs(config.drainTimeout, 25_000));
    stopReporting();
  },
});
behind = served.address;
const stopReporting = reportWarmth(runtime.node, systemClock, (isWarm) =>
  served.health.set(WARM_STATUS, isWarm),
);
if (hasRegistry) runtime.join(mesh.resolver);
