/**
 * Serves Connect implementations over gRPC. Every server has health, reflection (v1 and v1alpha), checked requests,
 * deadlines, trace context, one log line for each failed call and metrics, and it drains without failing a call.
 *
 *     const server = createRpcServer({ services: [service(OrderService, { getOrder })], log });
 *     const address = await server.listen("127.0.0.1:0");
 *     await server.drain(25_000);
 */
import type { DescService } from "@bufbuild/protobuf";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import {
  Code,
  createServiceImplSpec,
  type Interceptor,
  type ServiceImpl,
  type ServiceImplSpec,
} from "@connectrpc/connect";
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { Health } from "../../gen/ts/grpc/health/v1/health_pb.ts";
import { ServerReflection as ReflectionV1 } from "../../gen/ts/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ReflectionV1Alpha } from "../../gen/ts/grpc/reflection/v1alpha/reflection_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { sleep } from "../clock.ts";
import { messageOf, rpcError } from "../errors.ts";
import { silentLog, type Logger } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { methodDefinition, methodHandler } from "./handlers.ts";
import { createHealth, type HealthState } from "./health.ts";
import { createReflection, descriptorSource, type ReflectionSource } from "./reflection.ts";
import type { ServerCall, Serving } from "./server-call.ts";
import { validated } from "./validate.ts";

/** Options of a server. */
export interface RpcServerOptions {
  /** What it offers: `service(OrderService, implementation)`. Health and reflection are added. */
  readonly services: readonly ServiceImplSpec[];
  /** Connect interceptors, outermost first. Requests are validated after them. */
  readonly interceptors?: readonly Interceptor[];
  /** Gets one line for each failed call. Default: none. */
  readonly log?: Logger;
  readonly metrics?: Metrics;
  /** Longest request message. Default 4 MiB; longer ones get RESOURCE_EXHAUSTED. */
  readonly maxMessageBytes?: number;
  /** What reflection shows. Default: the services. */
  readonly reflection?: ReflectionSource;
}

/** A gRPC server. */
export interface RpcServer {
  /** Whether it, and each of its services, takes calls. */
  readonly health: HealthState;
  /** Listens on `host:port`, where port 0 takes a free one, and resolves with the address it got. */
  listen(address: string): Promise<string>;
  /**
   * Says NOT_SERVING, takes no new calls, lets those that run finish for at most `graceMs`, and ends the rest with
   * UNAVAILABLE. Resolves when nothing is left.
   */
  drain(graceMs: number): Promise<void>;
  /** Takes no new calls and ends those that run with UNAVAILABLE. Resolves when nothing is left. */
  close(): Promise<void>;
}

/** Longest message that is taken, unless configured. */
export const DEFAULT_MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** How long the statuses of calls that a drain has ended are given to leave, before connections are cut. */
const FLUSH_MS = 100;

/** An implementation with its contract. Methods that it lacks answer UNIMPLEMENTED. */
export function service<Desc extends DescService>(
  desc: Desc,
  implementation: Partial<ServiceImpl<Desc>>,
): ServiceImplSpec {
  return createServiceImplSpec(desc, implementation);
}

/** Makes a server; it listens once told to. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const server = new Server({
    "grpc.max_concurrent_streams": 1000,
    "grpc.max_receive_message_length": options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES,
    "grpc.enable_channelz": 0,
  });
  const draining = new AbortController();
  const active = new Set<ServerCall>();
  const serving: Serving = {
    log: options.log ?? silentLog,
    metrics: options.metrics,
    draining: draining.signal,
    active,
  };
  const health = createHealth(options.services.map(({ service }) => service.typeName));
  const validator = createValidator();
  const interceptors = [...(options.interceptors ?? [])];
  for (const spec of options.services) add(server, withValidation(spec, validator), interceptors, serving);
  for (const spec of platformServices(options, health)) add(server, spec, [], serving);

  /** Closes the doors; resolves when all calls are over. Streams that watch something would keep it waiting for ever. */
  const closing = (): Promise<void> => {
    health.drain();
    draining.abort();
    return new Promise((resolve) => server.tryShutdown(() => resolve()));
  };
  /** Answers the calls that still run before their connections go: grpc-js alone would leave their callers waiting. */
  const cut = async (idle: Promise<void>): Promise<void> => {
    for (const call of active) call.abort(stopped());
    await Promise.race([idle, sleep(FLUSH_MS)]);
    server.forceShutdown();
  };

  return {
    health,
    listen: (address) => bind(server, address),
    close: () => cut(closing()),
    async drain(graceMs) {
      const idle = closing();
      const grace = new AbortController();
      const patience = sleep(graceMs, grace.signal).catch(() => undefined);
      await Promise.race([idle, patience]);
      grace.abort();
      await cut(idle);
    },
  };
}

function platformServices(options: RpcServerOptions, health: HealthState): ServiceImplSpec[] {
  const own = [Health, ReflectionV1, ReflectionV1Alpha];
  const source =
    options.reflection ?? descriptorSource([...options.services.map(({ service }) => service), ...own]);
  const reflection = createReflection(source);
  return [
    service(Health, health.implementation),
    service(ReflectionV1, reflection),
    // The two versions differ in nothing but the package name.
    service(ReflectionV1Alpha, reflection as unknown as ServiceImpl<typeof ReflectionV1Alpha>),
  ];
}

function withValidation({ service, methods }: ServiceImplSpec, validator: Validator): ServiceImplSpec {
  const entries = Object.entries(methods).map(([name, spec]) => [name, validated(spec, validator)] as const);
  return { service, methods: Object.fromEntries(entries) };
}

function add(server: Server, spec: ServiceImplSpec, interceptors: Interceptor[], serving: Serving): void {
  const definition: ServiceDefinition = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(spec.methods)) {
    Object.assign(definition, { [name]: methodDefinition(method) });
    implementation[name] = methodHandler(method, interceptors, serving);
  }
  server.addService(definition, implementation);
}

function bind(server: Server, address: string): Promise<string> {
  const host = address.slice(0, address.lastIndexOf(":"));
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(`${host}:${port}`);
      else reject(new Error(`cannot listen on ${address}: ${messageOf(error)}`, { cause: error }));
    });
  });
}

function stopped() {
  return rpcError(
    Code.Unavailable,
    Reason.DRAINING,
    "the server has stopped; another instance may take the call",
  );
}
