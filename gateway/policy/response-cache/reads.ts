/**
 * Answers calls of a cached method: from the tier if there is an entry that this caller may be given, else by the service,
 * whose response is stored by whoever holds the lease. Loads go on when their caller leaves, since others wait for them, and
 * always read the newest state: they bring no consistency token, so that services read from their primary.
 */
import { createHash } from "node:crypto";
import { fromBinary, type DescMessage, type Message } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../../gen/ts/heddle/error/v1/error_pb.ts";
import type { CachedResponse } from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import type { Cache, Leased } from "../../../mesh/cache/client.ts";
import { hadNoEffect, type Invalidator } from "../../../mesh/cache/invalidator.ts";
import { entryTags } from "../../../mesh/cache/tag-templates.ts";
import type { Clock } from "../../../mesh/clock.ts";
import { rpcError } from "../../../mesh/errors.ts";
import { abortable } from "../../../mesh/registry/abortable.ts";
import type { Call, Reply, Send } from "../../../mesh/rpc/call.ts";
import { deadlineExceeded, neverAborted } from "../../../mesh/rpc/deadline.ts";
import { TOKEN_HEADER } from "../../../mesh/sql/consistency.ts";
import { requestDirectives, type Directives } from "./directives.ts";
import { keyOf } from "./key.ts";
import type { CacheResult, ResponseCacheMetrics } from "./metrics.ts";
import { createRecent } from "./recent.ts";
import { refusalOf } from "./refusal.ts";
import { entryOf, forwardedReply, replyOf, type CacheStatus } from "./replies.ts";
import type { ReadRule } from "./rules.ts";
import { freshnessMs } from "./storable.ts";

/** What cached reads need. */
export interface ReadsOptions {
  readonly cache: Pick<Cache<CachedResponse>, "lease" | "compareAndSet">;
  readonly invalidator: Pick<Invalidator, "doubtedSince">;
  readonly hasNodes: () => boolean;
  readonly clock: Clock;
  readonly metrics: ResponseCacheMetrics;
  /** A name that no other gateway has, nor this one after a restart. */
  readonly gateway: string;
  /** How long a load may take at least, however soon its caller wants an answer. */
  readonly loadTimeoutMs: number;
}

/** Sends a call of a cached method. */
export type CachedRead = (rule: ReadRule, call: Call, next: Send) => Promise<Reply>;

/** How long a call waits for another one that loads the same, before it goes to the service itself. */
const WAIT_MS = 2000;
/** How long what cannot be stored is not waited for. */
const PASS_MS = 1000;
const MAX_PASSED = 10_000;
/** Tokens that are remembered; one that was forgotten costs a load. */
const MAX_TOKENS = 20_000;
/** The tier takes values of 1 MiB. */
const MAX_ENTRY_BYTES = 1_000_000;

/** Headers that make a reply depend on what the caller has already, and tokens: none of that may shape a shared reply. */
const OWN_HEADERS = [
  TOKEN_HEADER,
  "cache-control",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-unmodified-since",
];

/** One call on its way. */
interface Read {
  readonly rule: ReadRule;
  readonly call: Call;
  readonly next: Send;
  readonly asked: Directives;
  readonly request: Message;
  readonly key: string;
}

type Store = (entry: CachedResponse, options: { readonly ttlMs: number; readonly graceMs: number }) => void;

/** Makes cached reads. */
export function createCachedReads(options: ReadsOptions): CachedRead {
  const { cache, invalidator, hasNodes, clock, metrics, gateway } = options;
  /** When the token of a caller was seen first. */
  const tokens = createRecent<number>(MAX_TOKENS);
  /** Until when a key is not worth a lease. */
  const passed = createRecent<number>(MAX_PASSED);

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
    const store = storeFor(read, found);
    if (store === undefined) return forward(read, why, refusal);
    count(read, refusal === undefined ? "miss" : "refused");
    const { reply, isStored } = await within(read.call, load(read, store, found));
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
    if ((passed.get(key) ?? 0) > clock.monotonic())
      return { forward: "bypass", detail: "NOT_STORABLE" } as const;
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
    const store = found.loader === undefined ? undefined : storeFor(read, found);
    if (store !== undefined) void load(read, store, found).catch(() => undefined);
    const detail = store === undefined ? undefined : "REVALIDATING";
    // Softly invalidated before its time it is stale all the same.
    const shown = isStale
      ? { ...value, ttlMs: Math.min(value.ttlMs, Number(BigInt(nowMs) - value.loadedAtMs)) }
      : value;
    return replyOf(read.rule, shown, nowMs, detail);
  }

  /**
   * How to store what is loaded now: under the lease, or, if a caller must not have a fresh entry, in its place, unless that
   * has changed or become invalid meanwhile. Undefined: another caller is loading.
   */
  function storeFor(
    { key }: Read,
    { loader, value, version, state }: Leased<CachedResponse>,
  ): Store | undefined {
    if (loader !== undefined) {
      return (entry, { ttlMs, graceMs }) =>
        void loader.store(entry, { ttlMs, graceMs, tags: entry.tags }).catch(() => metrics.error());
    }
    if (value === undefined || state !== "fresh") return undefined;
    return (entry, { ttlMs, graceMs }) => {
      // The old entry answers for its own tags only: of others it is not known whether they were invalidated meanwhile.
      if (!entry.tags.every((tag) => value.tags.includes(tag))) return;
      const stored = cache.compareAndSet(key, version, entry, { ttlMs, graceMs, tags: entry.tags });
      void stored.catch(() => metrics.error());
    };
  }

  /** Asks the service on behalf of everybody, and stores its answer. Does not end with the caller. */
  async function load(
    { rule, call, next, request, key }: Read,
    store: Store,
    { loader }: Leased<CachedResponse>,
  ): Promise<{ reply: Reply; isStored: boolean }> {
    const loadedAtMs = clock.now();
    const metadata = new Headers(call.metadata);
    for (const name of OWN_HEADERS) metadata.delete(name);
    const deadline = Math.max(call.deadline, loadedAtMs + options.loadTimeoutMs);
    try {
      const reply = await next({ ...call, metadata, deadline, signal: neverAborted });
      const ttlMs = freshnessMs(rule, reply.metadata);
      const entry = ttlMs === undefined ? undefined : entryIn(rule, request, reply, loadedAtMs, ttlMs);
      if (entry === undefined || ttlMs === undefined) passBy();
      else store(entry, { ttlMs, graceMs: rule.graceMs });
      return { reply, isStored: entry !== undefined };
    } catch (error) {
      if (hadNoEffect(error)) passBy();
      else loader?.giveUp();
      throw error;
    }

    /** Whoever waits loads for itself, and who comes next does not wait. */
    function passBy(): void {
      passed.set(key, clock.monotonic() + PASS_MS);
      loader?.giveUp();
    }
  }

  function entryIn(
    rule: ReadRule,
    request: Message,
    reply: Reply,
    loadedAtMs: number,
    ttlMs: number,
  ): CachedResponse | undefined {
    const { message } = reply;
    if (message === undefined || message.length > MAX_ENTRY_BYTES) return undefined;
    const response = decoded(rule.output, message);
    if (response === undefined) return undefined;
    const tags = entryTags(rule.tags, request, response);
    return entryOf(reply, { loadedAtMs: BigInt(loadedAtMs), ttlMs, tags, loadedBy: gateway });
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

function decoded(desc: DescMessage, bytes: Uint8Array): Message | undefined {
  try {
    return fromBinary(desc, bytes);
  } catch {
    return undefined;
  }
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
