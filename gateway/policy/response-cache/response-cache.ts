/**
 * The response cache: answers calls of methods with `heddle.gateway.v1.cache` from the cache tier, and invalidates what calls
 * of methods with `heddle.gateway.v1.invalidates` change. It works on calls as bytes, so that all protocols share what is
 * stored, and it never makes a call fail: without the tier every call goes on as it is.
 */
import { randomUUID } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Registry as MetricsRegistry } from "prom-client";
import {
  CachedResponseSchema,
  type CachedResponse,
} from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import { createCache } from "../../../mesh/cache/client.ts";
import { RESPONSES } from "../../../mesh/cache/invalidation.ts";
import { createInvalidator } from "../../../mesh/cache/invalidator.ts";
import { CACHE_SERVICE } from "../../../mesh/cache/members.ts";
import { createCacheTier } from "../../../mesh/cache/tier.ts";
import type { Clock } from "../../../mesh/clock.ts";
import type { Logger } from "../../../mesh/observe/log.ts";
import type { Resolver } from "../../../mesh/registry/instances.ts";
import type { Call, Reply, Send } from "../../../mesh/rpc/call.ts";
import { createResponseCacheMetrics } from "./metrics.ts";
import { createCachedReads } from "./reads.ts";
import type { Caching } from "./rules.ts";
import { createInvalidatingWrites } from "./writes.ts";

/** What a response cache needs. */
export interface ResponseCacheOptions {
  /** Finds the nodes of the cache tier. While it knows none, nothing is cached. */
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricsRegistry;
  /** How long a load may take at least, however soon its caller wants an answer. */
  readonly loadTimeoutMs: number;
}

/** Caches responses. */
export interface ResponseCache {
  /** Sends a call by the rules of its method. */
  send(caching: Caching, call: Call, next: Send): Promise<Reply>;
  /** Makes responses with any of the tags invalid, or stale if `soft`. True once every node of the tier knows. */
  purge(tags: readonly string[], soft: boolean): Promise<boolean>;
  close(): Promise<void>;
}

/** How long a caller waits for the tier. */
const READ_TIMEOUT_MS = 250;
const WRITE_TIMEOUT_MS = 250;

/** Makes a response cache. Nothing is dialled before it is needed. */
export function createResponseCache(options: ResponseCacheOptions): ResponseCache {
  const { resolver, clock, log } = options;
  const metrics = createResponseCacheMetrics(options.metrics);
  const nodes = resolver.watch(CACHE_SERVICE);
  const hasNodes = () => nodes.serving().length > 0;
  const tier = createCacheTier({ resolver, clock });
  const cache = createCache<CachedResponse>({
    tier,
    namespace: RESPONSES,
    codec: {
      encode: (response) => toBinary(CachedResponseSchema, response),
      decode: (bytes) => fromBinary(CachedResponseSchema, bytes),
    },
    readTimeoutMs: READ_TIMEOUT_MS,
    writeTimeoutMs: WRITE_TIMEOUT_MS,
    // A copy in this process, or a replica, might not know yet what another gateway has invalidated.
    reads: "primary",
    onOutcome: (outcome) => outcome === "failed" && metrics.error(),
  });
  const invalidator = createInvalidator({ cache, hasNodes, clock, log });
  const write = createInvalidatingWrites({ invalidator, metrics });
  const read = createCachedReads({
    cache,
    invalidator,
    hasNodes,
    clock,
    metrics,
    gateway: randomUUID(),
    loadTimeoutMs: options.loadTimeoutMs,
  });
  return {
    send(caching, call, next) {
      if (caching.read !== undefined) return read(caching.read, call, next);
      return caching.write === undefined ? next(call) : write(caching.write, call, next);
    },
    async purge(tags, soft) {
      const outcome = await invalidator.invalidate(tags, { soft });
      metrics.invalidation("purge", outcome);
      return outcome !== "pending";
    },
    close() {
      invalidator.close();
      return tier.close();
    },
  };
}
