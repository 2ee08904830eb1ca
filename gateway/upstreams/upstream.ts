/**
 * A server that is named in the configuration because it cannot register itself. It is learned by reflection, watched by
 * health checks where it has them and by its connection where it has not, and put into the registry while it is well.
 * While it is away it is tried again and again, and learned anew when it is back.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { ulid } from "ulid";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/ts/grpc/health/v1/health_pb.ts";
import type { Upstream } from "../../gen/ts/heddle/config/v1/config_pb.ts";
import { InstanceSchema, InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { sleep, type Clock, type Random } from "../../mesh/clock.ts";
import { messageOf } from "../../mesh/errors.ts";
import type { Logger } from "../../mesh/observe/log.ts";
import { jittered, reconnectDelayMs } from "../../mesh/registry/backoff.ts";
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createGrpcJsConnection } from "../../mesh/rpc/grpc-js-connection.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import type { Registry } from "../registry/registry.ts";
import type { Catalog } from "./catalog.ts";
import { learnApi } from "./reflect.ts";

/** What following an upstream needs. */
export interface UpstreamOptions {
  readonly registry: Registry;
  readonly catalog: Catalog;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** How often an upstream is asked whether it is well. */
const HEALTH_INTERVAL_MS = 2000;

/** An upstream that takes longer than this to answer is not well. */
const ANSWER_TIMEOUT_MS = 5000;

/** Follows an upstream until the signal aborts. Resolves once its API is live, or it was found to be away. */
export function followUpstream(upstream: Upstream, options: UpstreamOptions): Promise<void> {
  const tried = Promise.withResolvers<void>();
  void follow(upstream, options, tried.resolve);
  return tried.promise;
}

async function follow(upstream: Upstream, options: UpstreamOptions, tried: () => void): Promise<void> {
  const { log, signal, clock, random, registry } = options;
  const about = { upstream: upstream.name, address: upstream.address };
  const instanceId = ulid();
  for (let failures = 0; !signal.aborted;) {
    let live = false;
    try {
      await visit(upstream, instanceId, options, () => {
        live = true;
        tried();
      });
    } catch (error) {
      // A server may close connections at any time, for their age. Only one that cannot be visited again is away.
      failures = live ? 0 : failures + 1;
      if (!live) registry.unpin(instanceId);
      if (failures === 1) log.warn({ ...about, problem: messageOf(error) }, "an upstream is away; trying on");
    }
    tried();
    await sleep(reconnectDelayMs(failures, random), signal, clock).catch(() => undefined);
  }
  registry.unpin(instanceId);
}

/** One connection's life: learned, put in the registry, and watched until it is lost. Always rejects in the end. */
async function visit(
  upstream: Upstream,
  instanceId: string,
  { registry, catalog, log, clock, random, signal }: UpstreamOptions,
  live: () => void,
): Promise<void> {
  const lost = new AbortController();
  let wasReady = false;
  const channel = createChannel({
    address: upstream.address,
    dial: (address, onStateChange) => {
      const connection = createGrpcJsConnection(address, {
        onStateChange() {
          const state = connection.state();
          if (wasReady && state !== "ready") lost.abort(new Error(`the connection is ${state}`));
          wasReady ||= state === "ready";
          onStateChange();
        },
      });
      return connection;
    },
  });
  const over = AbortSignal.any([signal, lost.signal]);
  const transport = createTransport(channel);
  const health = createClient(Health, transport);

  /** Whether it takes calls. A server without health checks does as long as it is connected. */
  const isServing = async (): Promise<boolean> => {
    try {
      const { status } = await health.check({}, { signal: over, timeoutMs: ANSWER_TIMEOUT_MS });
      return status === Status.SERVING;
    } catch (error) {
      if (error instanceof ConnectError && error.code === Code.Unimplemented) return true;
      throw error;
    }
  };

  try {
    const api = await learnApi(transport, AbortSignal.any([over, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]));
    const descriptorDigest = catalog.add(api);
    let before: boolean | undefined;
    for (;;) {
      const serving = await isServing();
      if (serving !== before) {
        const state = serving ? InstanceState.SERVING : InstanceState.STARTING;
        registry.pin(
          create(InstanceSchema, {
            instanceId,
            address: upstream.address,
            weight: 1,
            services: [...api.services],
            descriptorDigest,
            state,
            labels: { upstream: upstream.name },
          }),
        );
        const { name, address } = upstream;
        log.info({ upstream: name, address, serving, services: api.services }, "an upstream is connected");
        live();
      }
      before = serving;
      await sleep(jittered(HEALTH_INTERVAL_MS, random), over, clock);
    }
  } finally {
    await channel.close();
  }
}
