/**
 * Runs a service: gRPC server, admin port, a place in the registry, and an orderly end. A whole `main.ts`:
 *
 *     const config = configOrExit();
 *     const mesh = createMesh({ name: "inventory", config });
 *     const store = createStore(mesh);
 *     await serve(mesh, {
 *       services: [service(InventoryService, createInventoryService({ store }))],
 *       ready: () => store.migrate(),
 *       stop: () => store.close(),
 *     });
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Interceptor, ServiceImplSpec } from "@connectrpc/connect";
import { ulid } from "ulid";
import { InstanceSchema, InstanceState, type Instance } from "../gen/ts/heddle/registry/v1/registry_pb.ts";
import { sleep } from "./clock.ts";
import { durationMs } from "./config.ts";
import { stopOnSignal } from "./lifecycle.ts";
import type { Mesh } from "./mesh.ts";
import { listenAdmin, type Admin } from "./observe/admin.ts";
import { announce, type Announcement } from "./registry/announce.ts";
import { descriptorDigest } from "./registry/digest.ts";
import type { HealthState } from "./rpc/health.ts";
import { createRpcServer, type RpcServer } from "./rpc/server.ts";

/** What is served, and what belongs to it. */
export interface ServeOptions {
  /** `service(OrderService, implementation)`, one for each. */
  readonly services: readonly ServiceImplSpec[];
  /** Connect interceptors of the server, outermost first. Requests are validated after them. */
  readonly interceptors?: readonly Interceptor[];
  /** What must be done before the first call is taken, such as migrations. */
  readonly ready?: () => Promise<unknown>;
  /** What must be done after the last call, such as closing the database. */
  readonly stop?: () => Promise<unknown>;
  /**
   * How long the process still takes calls after it has said that it drains, so that callers hear of it first.
   * Default 1000 ms.
   */
  readonly lameDuckMs?: number;
  /**
   * How long the registry is to believe in this process without a beat, which comes each third of it: 3 000 to 60 000 ms.
   * Default: what the gateway has configured.
   */
  readonly leaseMs?: number;
  /** Whether only the mesh calls this process, so that gateways make nothing of it public. Default false. */
  readonly internal?: boolean;
  /** Whether SIGTERM, SIGINT and uncaught errors end the process. Default true; false where tests serve. */
  readonly signals?: boolean;
}

/** A service that runs. */
export interface Served {
  /** `host:port` of the gRPC server. */
  readonly address: string;
  /** `host:port` of the admin server. */
  readonly admin: string;
  /** What `grpc.health.v1.Health` says, for parts of a process that are well or not by themselves. */
  readonly health: Pick<HealthState, "set">;
  /** Drains and stops, as SIGTERM does, without ending the process. */
  stop(): Promise<void>;
}

const DRAIN_TIMEOUT_MS = 25_000;

/** Serves. Resolves once calls are taken; `/readyz` is 200 once a gateway knows of it, too. */
export async function serve(mesh: Mesh, options: ServeOptions): Promise<Served> {
  const { config, log, metrics } = mesh;
  let notReady: string | undefined = "starting";
  const server = createRpcServer({
    services: options.services,
    interceptors: options.interceptors ?? [],
    log,
    metrics,
  });
  const running: Running = { server };

  const stop = async () => {
    notReady = "draining";
    await drain(mesh, running, options);
  };
  if (options.signals !== false) stopOnSignal(stop, log);

  running.admin = await listenAdmin(config.admin || "127.0.0.1:0", { metrics, notReady: () => notReady });
  await options.ready?.();
  const address = await server.listen(config.listen || "127.0.0.1:0");
  const instance = instanceOf(mesh, options, address, running.admin.address);
  const taken = () => {
    if (notReady !== "draining") notReady = undefined;
  };
  const endpoints = config.registry?.endpoints ?? [];
  if (endpoints.length === 0) taken();
  else {
    notReady = "no gateway has registered it yet";
    running.announcement = announce({ endpoints, instance, log });
    void running.announcement.ready.then(taken);
  }
  log.info({ address, admin: running.admin.address, instanceId: instance.instanceId }, "serving");
  return { address, admin: running.admin.address, health: server.health, stop };
}

interface Running {
  readonly server: RpcServer;
  admin?: Admin;
  announcement?: Announcement;
}

/** First callers are told, then calls end, then what they needed is closed. */
async function drain(
  mesh: Mesh,
  { server, admin, announcement }: Running,
  options: ServeOptions,
): Promise<void> {
  server.health.drain();
  await announcement?.drain();
  await sleep(options.lameDuckMs ?? 1000);
  await server.drain(durationMs(mesh.config.drainTimeout, DRAIN_TIMEOUT_MS));
  await announcement?.close();
  await options.stop?.();
  await mesh.close();
  await admin?.close();
}

function instanceOf(
  { name, config }: Mesh,
  { services, leaseMs, internal = false }: ServeOptions,
  address: string,
  admin: string,
): Instance {
  const { number = 0, advertise = "", zone = "", weight = 0, version = "" } = config.instance ?? {};
  return create(InstanceSchema, {
    instanceId: ulid(),
    address: advertise || address,
    zone,
    weight: weight || 1,
    version: version || "0.0.0",
    services: services.map(({ service }) => service.typeName),
    descriptorDigest: descriptorDigest(services.map(({ service }) => service)),
    state: InstanceState.SERVING,
    internal,
    ...(leaseMs !== undefined && { leaseTtl: durationFromMs(leaseMs) }),
    labels: { service: name, number: String(number || 1), admin },
  });
}
