/**
 * The client side of every call in the mesh: a pipeline of policies over balanced connections. It works on bytes, so the
 * gateway and typed clients share it.
 */
import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { InstanceSchema } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { systemClock, type Clock, type Random } from "../clock.ts";
import { silentLog, type Logger } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Resolver } from "../registry/instances.ts";
import { balance } from "./balance.ts";
import type { Policy, Send } from "./call.ts";
import { deadline } from "./deadline.ts";
import { createEndpointPool, type Dial } from "./endpoints.ts";
import { createGrpcJsConnection } from "./grpc-js-connection.ts";
import { correlation, measurement } from "./observe.ts";
import { retry } from "./retry.ts";

/** Where calls go, and with what. */
export interface ChannelOptions {
  /** Finds the instances of a service. This or `address` must be given. */
  readonly resolver?: Resolver;
  /** One server, `host:port`, for all services. */
  readonly address?: string;
  readonly log?: Logger;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
  readonly random?: Random;
  /** How to connect. Default: grpc-js. */
  readonly dial?: Dial;
}

/** Sends calls. */
export interface Channel {
  /** Sends one call through all policies. */
  readonly call: Send;
  /** Closes all connections; calls that run finish. The resolver stays open: it belongs to whoever made it. */
  close(): Promise<void>;
}

/**
 * Makes a channel. It connects to the instances of a service at the service's first call, and keeps in step with them.
 *
 * @throws TypeError unless exactly one of `resolver` and `address` is given.
 */
export function createChannel(options: ChannelOptions): Channel {
  const { log = silentLog, metrics, clock = systemClock, random = Math.random } = options;
  const dial =
    options.dial ?? ((address, onStateChange) => createGrpcJsConnection(address, { onStateChange }));
  const pool = createEndpointPool(dial, random);
  const closed = new AbortController();

  const policies: Policy[] = [
    correlation(), // first: whatever happens below must be found by request id and trace
    ...(metrics === undefined ? [] : [measurement(metrics)]), // one measurement a call, its retries inside
    deadline(clock), // one time budget for everything below
    retry({ clock, random, metrics }), // only what no server has begun, or the contract calls idempotent
  ];
  const send = balance(
    { resolver: resolverOf(options), pool, log, metrics, clock, random }, // chooses again for each attempt
    closed.signal,
  );
  return {
    call: policies.reduceRight((next, policy) => policy(next), send),
    async close() {
      closed.abort();
      pool.close();
    },
  };
}

function resolverOf({ resolver, address }: ChannelOptions): Resolver {
  if (resolver !== undefined && address === undefined) return resolver;
  if (address !== undefined && resolver === undefined) return singleAddress(address);
  throw new TypeError("a channel needs a resolver or an address, and not both");
}

function singleAddress(address: string): Resolver {
  const instances = [create(InstanceSchema, { instanceId: randomUUID(), address })];
  const set = {
    current: () => instances,
    serving: () => instances,
    changed: (signal: AbortSignal) =>
      new Promise<void>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
      ),
  };
  return { watch: () => set, ready: () => Promise.resolve(), close: () => Promise.resolve() };
}
