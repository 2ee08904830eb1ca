/**
 * Answers calls of a cached method: from the tier if there is an entry that this caller may be given, else by the service,
 * whose response is stored by whoever holds the lease. Without the tier calls go on as they are.
 */
import { createHash } from "node:crypto";
import type { Message } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../../gen/ts/heddle/error/v1/error_pb.ts";
import type { CachedResponse } from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import type { Cache, Leased } from "../../../mesh/cache/client.ts";
import type { Invalidator } from "../../../mesh/cache/invalidator.ts";
import { rpcError } from "../../../mesh/errors.ts";
import { abortable } from "../../../mesh/registry/abortable.ts";
import type { Call, Reply, Send } from "../../../mesh/rpc/call.ts";
import { deadlineExceeded } from "../../../mesh/rpc/deadline.ts";
import { TOKEN_HEADER } from "../../../mesh/sql/consistency.ts";
import { requestDirectives, type Directives } from "./directives.ts";
import { keyOf } from "./key.ts";
import { createLoads, decoded, type Load, type LoadsOptions } from "./loads.ts";
import type { CacheResult } from "./metrics.ts";
import { createRecent } from "./recent.ts";
import { refusalOf } from "./refusal.ts";
import { forwardedReply, replyOf, type CacheStatus } from "./replies.ts";
import type { ReadRule } from "./rules.ts";

/** What cached reads need. */
export interface ReadsOptions extends LoadsOptions {
  readonly cache: Pick<Cache<CachedResponse>, "lease" | "compareAndSet">;
  readonly invalidator: Pick<Invalidator, "doubtedSince">;
  readonly hasNodes: () => boolean;
}

/** Sends a call of a cached method. */
export type CachedRead = (rule: ReadRule, call: Call, next: Send) => Promise<Reply>;

/** How long a call waits for another one that loads the same, before it goes to the service itself. */
const WAIT_MS = 2000;
/** Tokens that are remembered; one that was forgotten costs a load. */
const MAX_TOKENS = 20_000;

/** One call on its way. */
interface Read extends Load {
  readonly asked: Directives;
}

/** Makes cached reads. */
export function createCachedReads(options: ReadsOptions): CachedRead {
  const { cache, invalidator, hasNodes, clock, metrics, gateway } = options;
  /** When the token of a caller was seen first. */
  const tokens = createRecent<number>(MAX_TOKENS);
  const loads = createLoads(options);

  return async (rule, call, next) => {
    const asked = requestDirectives(call.metadata.get("cache-control"));
    const tokenSeenMs = seen(call.metadata.get(TOKEN_HEADER));
    const request = messageIn(rule, call);
    // What is no message is for the service to refuse.
    if (request === undefined) return next(call);
    const read: Read = {
      rule,
      call,
      next,
      asked,
      request,
      key: keyOf(rule, call.method, request, call.metadata),
    };
    const obstacle = obstacleTo(read);
    if (obstacle !== undefined) return forward(read, obstacle.forward, obstacle.detail);
    const found = await lookUp(read);
    const { value } = found;
    const nowMs = clock.now();
    const doubtedSince = (tags: readonly string[]) => invalidator.doubtedSince(tags);
    const refusal =
      value === undefined
        ? undefined
        : refusalOf(value, { asked, nowMs, gateway, tokenSeenMs, doubtedSince });
    if (value !== undefined && refusal === undefined) return serve(read, found, value, nowMs);
    if (asked.onlyIfCached) {
      found.loader?.giveUp();
      throw notCached(call);
    }
    const why = value === undefined ? "miss" : found.state === "stale" ? "stale" : "request";
    if (found.state === "failed") return forward(read, "bypass", "UNAVAILABLE");
    if (!loads.isWorthwhile(found)) return forward(read, why, refusal);
    count(read, refusal === undefined ? "miss" : "refused");
    const { reply, isStored } = await within(read.call, loads.load(read, found));
    return forwardedReply(rule, reply, status(why, isStored, refusal));
  };

  /** When a token was seen first; undefined without one. */
  function seen(token: string | null): number | undefined {
    if (token === null) return undefined;
    const name = createHash("sha256").update(token).digest("base64");
    const before = tokens.get(name);
    if (before !== undefined) return before;
    const nowMs = clock.now();
    tokens.set(name, nowMs);
    return nowMs;
  }

  function obstacleTo({ asked, key }: Read) {
    if (asked.noStore && !asked.onlyIfCached) return { forward: "request", detail: "NO_STORE" } as const;
    if (!hasNodes()) return { forward: "bypass", detail: "NO_NODES" } as const;
    if (loads.isPassed(key)) return { forward: "bypass", detail: "NOT_STORABLE" } as const;
    return undefined;
  }

  /** Sends the call as it is, and stores nothing. */
  async function forward(read: Read, why: "bypass" | "miss" | "request" | "stale", detail?: string) {
    if (read.asked.onlyIfCached) throw notCached(read.call);
    count(read, why === "miss" ? "miss" : why === "bypass" ? "bypass" : "refused");
    return forwardedReply(read.rule, await read.next(read.call), status(why, false, detail));
  }

  async function lookUp(read: Read): Promise<Leased<CachedResponse>> {
    const { rule, call, asked, key } = read;
    const leftMs = Math.max(0, call.deadline - clock.now());
    const waitMs = asked.noCache || asked.onlyIfCached ? 0 : Math.min(WAIT_MS, leftMs);
    const looking = cache.lease(key, { stale: rule.graceMs > 0, waitMs });
    try {
      return await within(call, looking);
    } catch (error) {
      // The caller has left; nobody else would end its lease.
      void looking.then(({ loader }) => loader?.giveUp());
      throw error;
    }
  }

  function serve(read: Read, found: Leased<CachedResponse>, value: CachedResponse, nowMs: number): Reply {
    const isStale = found.state === "stale";
    count(read, isStale ? "stale" : "hit");
    if (found.loader !== undefined) void loads.load(read, found).catch(() => undefined);
    const detail = found.loader === undefined ? undefined : "REVALIDATING";
    // Softly invalidated before its time it is stale all the same.
    const shown = isStale
      ? { ...value, ttlMs: Math.min(value.ttlMs, Number(BigInt(nowMs) - value.loadedAtMs)) }
      : value;
    return replyOf(read.rule, shown, nowMs, detail);
  }

  /** Settles like the promise, but no later than the call and not after its caller has left. */
  async function within<T>(call: Call, promise: Promise<T>): Promise<T> {
    promise.catch(() => undefined);
    const timer = new AbortController();
    const leftMs = Math.min(call.deadline - clock.now(), 2 ** 31 - 1);
    const cancel = clock.after(leftMs, () => timer.abort(deadlineExceeded(call)));
    try {
      return await abortable(abortable(promise, timer.signal), call.signal);
    } finally {
      cancel();
    }
  }

  function count({ call }: Read, result: CacheResult): void {
    metrics.request(call.method.path, result);
  }
}

function messageIn({ input }: ReadRule, { request }: Call): Message | undefined {
  return request instanceof Uint8Array ? decoded(input, request) : undefined;
}

function status(
  forward: "bypass" | "miss" | "request" | "stale",
  isStored: boolean,
  detail: string | undefined,
): CacheStatus {
  return { hit: false, forward, isStored, ...(detail !== undefined && { detail }) };
}

function notCached({ method }: Call): ConnectError {
  const message = `nothing is stored for ${method.path.slice(1)}, and the request says only-if-cached`;
  return rpcError(Code.FailedPrecondition, Reason.NOT_CACHED, message);
}
