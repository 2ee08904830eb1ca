/**
 * Loads responses on behalf of all who wait for them: a load ends neither with the caller that began it nor with his deadline,
 * and always brings the newest state, since it carries no consistency token, so that services read from their primary.
 */
import { fromBinary, type DescMessage, type Message } from "@bufbuild/protobuf";
import type { CachedResponse } from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import type { Cache, Leased } from "../../../mesh/cache/client.ts";
import { hadNoEffect } from "../../../mesh/cache/invalidator.ts";
import { entryTags } from "../../../mesh/cache/tag-templates.ts";
import type { Clock } from "../../../mesh/clock.ts";
import type { Call, Reply, Send } from "../../../mesh/rpc/call.ts";
import { neverAborted } from "../../../mesh/rpc/deadline.ts";
import { TOKEN_HEADER } from "../../../mesh/sql/consistency.ts";
import type { ResponseCacheMetrics } from "./metrics.ts";
import { createRecent } from "./recent.ts";
import { entryOf } from "./replies.ts";
import type { ReadRule } from "./rules.ts";
import { freshnessMs } from "./storable.ts";

/** What loads need. */
export interface LoadsOptions {
  readonly cache: Pick<Cache<CachedResponse>, "compareAndSet">;
  readonly clock: Clock;
  readonly metrics: ResponseCacheMetrics;
  /** A name that no other gateway has, nor this one after a restart. */
  readonly gateway: string;
  /** How long a load may take at least, however soon its caller wants an answer. */
  readonly loadTimeoutMs: number;
}

/** What is to be loaded. */
export interface Load {
  readonly rule: ReadRule;
  /** The call of the caller that needs it. */
  readonly call: Call;
  readonly next: Send;
  /** The decoded message of the call. */
  readonly request: Message;
  readonly key: string;
}

/** Loads. */
export interface Loads {
  /** Whether the response was not to be stored a moment ago, so that waiting for another caller is in vain. */
  isPassed(key: string): boolean;
  /** Whether what is loaded after this was found can be stored. Otherwise another caller is loading. */
  isWorthwhile(found: Leased<CachedResponse>): boolean;
  /** Asks the service and stores its response. Rejects as the call does; a lease is given back then. */
  load(what: Load, found: Leased<CachedResponse>): Promise<{ reply: Reply; isStored: boolean }>;
}

/** How long what cannot be stored is not waited for. */
const PASS_MS = 1000;
const MAX_PASSED = 10_000;
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

/** Makes loads. */
export function createLoads({ cache, clock, metrics, gateway, loadTimeoutMs }: LoadsOptions): Loads {
  /** Until when a key is not worth a lease. */
  const passed = createRecent<number>(MAX_PASSED);

  async function load(what: Load, found: Leased<CachedResponse>) {
    const { rule, call, next, key } = what;
    const loadedAtMs = clock.now();
    const metadata = new Headers(call.metadata);
    for (const name of OWN_HEADERS) metadata.delete(name);
    const deadline = Math.max(call.deadline, loadedAtMs + loadTimeoutMs);
    try {
      const reply = await next({ ...call, metadata, deadline, signal: neverAborted });
      const entry = entryIn(what, reply, loadedAtMs);
      if (entry === undefined) passBy(key, found);
      return { reply, isStored: entry !== undefined && store(key, found, entry, rule.graceMs) };
    } catch (error) {
      if (hadNoEffect(error)) passBy(key, found);
      else found.loader?.giveUp();
      throw error;
    }
  }

  /** Whoever waits loads for itself, and who comes next does not wait. */
  function passBy(key: string, { loader }: Leased<CachedResponse>): void {
    passed.set(key, clock.monotonic() + PASS_MS);
    loader?.giveUp();
  }

  /** What to store; undefined if it must not be. */
  function entryIn({ rule, request }: Load, reply: Reply, loadedAtMs: number): CachedResponse | undefined {
    const { message, metadata } = reply;
    const ttlMs = freshnessMs(rule, metadata);
    if (ttlMs === undefined || message === undefined || message.length > MAX_ENTRY_BYTES) return undefined;
    const response = decoded(rule.output, message);
    if (response === undefined) return undefined;
    const tags = entryTags(rule.tags, request, response);
    return entryOf(reply, { loadedAtMs: BigInt(loadedAtMs), ttlMs, tags, loadedBy: gateway });
  }

  /**
   * Stores under the lease, or, if a caller must not have a fresh entry, in its place, unless that has changed or become
   * invalid meanwhile. Nobody waits for it.
   */
  function store(
    key: string,
    { loader, value, version }: Leased<CachedResponse>,
    entry: CachedResponse,
    graceMs: number,
  ): boolean {
    const { tags } = entry;
    const ttlMs = Math.max(1, entry.ttlMs - (clock.now() - Number(entry.loadedAtMs)));
    const how = { ttlMs, graceMs, tags };
    // The old entry answers for its own tags only: of others it is not known whether they were invalidated meanwhile.
    if (loader === undefined && !tags.every((tag) => value?.tags.includes(tag))) return false;
    const storing = loader?.store(entry, how) ?? cache.compareAndSet(key, version, entry, how);
    void storing.catch(() => metrics.error());
    return true;
  }

  return {
    isPassed: (key) => (passed.get(key) ?? 0) > clock.monotonic(),
    isWorthwhile: ({ loader, value, state }) =>
      loader !== undefined || (value !== undefined && state === "fresh"),
    load,
  };
}

/** A message from its bytes; undefined if they are none. */
export function decoded(desc: DescMessage, bytes: Uint8Array): Message | undefined {
  try {
    return fromBinary(desc, bytes);
  } catch {
    return undefined;
  }
}
