import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import {
  CachedResponseSchema,
  type CachedResponse,
} from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import {
  ReadItemRequestSchema,
  ReadItemResponseSchema,
} from "../../../gen/ts/heddle/testing/v1/catalog_service_pb.ts";
import type { EntryOptions, Leased } from "../../../mesh/cache/client.ts";
import { createTestClock } from "../../../mesh/clock.fixture.ts";
import type { Call, Reply } from "../../../mesh/rpc/call.ts";
import { method } from "./catalog.fixture.ts";
import { createResponseCacheMetrics } from "./metrics.ts";
import { createCachedReads } from "./reads.ts";

const START = 1_000_000;
const { info, caching } = method("ReadItem");
const rule = caching!.read!;

type Written = { how: "lease" | "swap"; entry: CachedResponse; options: EntryOptions | undefined };

/** Cached reads over a tier and a service that do as a test says. */
function make(options: { hasNodes?: boolean; doubtedSince?: number } = {}) {
  const clock = createTestClock(START);
  const registry = new Registry();
  const written: Written[] = [];
  const sent: Call[] = [];
  const harness = {
    clock,
    written,
    sent,
    givenUp: 0,
    /** What the tier answers; `loader` is added if this says so. */
    found: { state: "missing", value: undefined, version: 0 } as Omit<Leased<CachedResponse>, "loader">,
    hasLease: true,
    looking: undefined as Promise<void> | undefined,
    reply: (): Promise<Reply> => Promise.resolve(replyWith("new")),
    count: async (result: string) => {
      const { values } = await registry.getSingleMetric("gateway_cache_requests_total")!.get();
      return values.find(({ labels }) => labels["result"] === result)?.value ?? 0;
    },
    call: (headers: Record<string, string> = {}, more: Partial<Call> = {}) =>
      read(rule, callWith(headers, more), (call) => {
        sent.push(call);
        return harness.reply();
      }),
  };
  const loader = {
    store: (entry: CachedResponse, entryOptions?: EntryOptions) => {
      written.push({ how: "lease", entry, options: entryOptions });
      return Promise.resolve(true);
    },
    giveUp: () => void harness.givenUp++,
  };
  const read = createCachedReads({
    cache: {
      async lease() {
        await harness.looking;
        return { ...harness.found, loader: harness.hasLease ? loader : undefined };
      },
      compareAndSet(_key, version, entry, entryOptions) {
        written.push({ how: "swap", entry, options: entryOptions });
        return Promise.resolve({ won: true, version: version ?? 0 });
      },
    },
    invalidator: { doubtedSince: () => options.doubtedSince },
    hasNodes: () => options.hasNodes ?? true,
    clock,
    metrics: createResponseCacheMetrics(registry),
    gateway: "me",
    loadTimeoutMs: 5000,
  });
  return harness;
}

function callWith(headers: Record<string, string>, more: Partial<Call>): Call {
  return {
    method: info,
    metadata: new Headers(headers),
    deadline: START + 1000,
    signal: new AbortController().signal,
    request: toBinary(ReadItemRequestSchema, create(ReadItemRequestSchema, { id: "1" })),
    ...more,
  };
}

function replyWith(text: string, headers: Record<string, string> = {}): Reply {
  const message = toBinary(
    ReadItemResponseSchema,
    create(ReadItemResponseSchema, { item: { id: "1", text } }),
  );
  return { metadata: new Headers(headers), message, trailers: () => new Headers() };
}

function entry(text: string, more: Partial<CachedResponse> = {}): CachedResponse {
  return Object.assign(create(CachedResponseSchema), {
    message: replyWith(text).message!,
    loadedAtMs: BigInt(START - 2000),
    loadedBy: "me",
    ttlMs: 60_000,
    tags: ["item:1"],
    etag: '"e"',
    ...more,
  });
}

function textOf({ message }: Reply): string | undefined {
  return fromBinary(ReadItemResponseSchema, message!).item?.text;
}

const statusOf = (reply: Reply) => reply.metadata.get("cache-status");
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe("a cached read", () => {
  test("loads what is missing, and stores it with tags and times", async () => {
    const cache = make();
    const reply = await cache.call();
    expect([textOf(reply), statusOf(reply)]).toEqual(["new", "heddle; fwd=miss; stored"]);
    expect(cache.written).toMatchObject([
      {
        how: "lease",
        entry: { loadedAtMs: BigInt(START), loadedBy: "me", ttlMs: 60_000, tags: ["item:1"] },
        options: { ttlMs: 60_000, graceMs: 0, tags: ["item:1"] },
      },
    ]);
    expect(await cache.count("miss")).toBe(1);
  });

  test("gives what is there, and asks nobody", async () => {
    const cache = make();
    Object.assign(cache, { hasLease: false, found: { state: "fresh", value: entry("old"), version: 7 } });
    const reply = await cache.call();
    expect([textOf(reply), statusOf(reply), reply.metadata.get("age")]).toEqual([
      "old",
      "heddle; hit; ttl=58",
      "2",
    ]);
    expect([cache.sent, await cache.count("hit")]).toEqual([[], 1]);
  });

  test("gives what is stale and loads behind its back", async () => {
    const cache = make();
    const old = entry("old", { ttlMs: 1000 });
    Object.assign(cache, { found: { state: "stale", value: old, version: 7 } });
    const reply = await cache.call();
    expect([textOf(reply), statusOf(reply)]).toEqual(["old", "heddle; hit; ttl=-1; detail=REVALIDATING"]);
    await settle();
    expect(cache.written).toMatchObject([{ how: "lease", entry: { loadedAtMs: BigInt(START) } }]);
    expect(await cache.count("stale")).toBe(1);
  });

  test("loads on behalf of all: without what is the caller's own", async () => {
    const cache = make();
    const own = { "x-heddle-db-token": "s=a:1", "if-none-match": '"e"', "cache-control": "max-age=1" };
    await cache.call({ ...own, authorization: "kept" });
    expect(Object.fromEntries(cache.sent[0]!.metadata)).toEqual({ authorization: "kept" });
    expect(cache.sent[0]!.deadline).toBe(START + 5000);
  });

  test("goes on loading when its caller leaves", async () => {
    const cache = make();
    const leaving = new AbortController();
    const gate = Promise.withResolvers<Reply>();
    cache.reply = () => gate.promise;
    const reading = cache.call({}, { signal: leaving.signal });
    await settle();
    leaving.abort(new ConnectError("left", Code.Canceled));
    await expect(reading).rejects.toMatchObject({ code: Code.Canceled });
    expect(cache.sent[0]!.signal.aborted).toBe(false);
    gate.resolve(replyWith("new"));
    await settle();
    expect(cache.written).toHaveLength(1);
  });

  test("ends with the deadline of its caller, though the load goes on", async () => {
    const cache = make();
    const gate = Promise.withResolvers<Reply>();
    cache.reply = () => gate.promise;
    const reading = cache.call();
    await settle();
    cache.clock.advance(1000);
    await expect(reading).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    gate.resolve(replyWith("new"));
    await settle();
    expect(cache.written).toHaveLength(1);
  });

  test("gives the lease back if its caller leaves before it comes", async () => {
    const cache = make();
    const gate = Promise.withResolvers<void>();
    cache.looking = gate.promise;
    const leaving = new AbortController();
    const reading = cache.call({}, { signal: leaving.signal });
    leaving.abort(new ConnectError("left", Code.Canceled));
    await expect(reading).rejects.toMatchObject({ code: Code.Canceled });
    gate.resolve();
    await settle();
    expect([cache.givenUp, cache.sent]).toEqual([1, []]);
  });

  test.each([
    ["fails", () => Promise.reject(new ConnectError("no", Code.Unavailable)), false],
    ["is refused", () => Promise.reject(new ConnectError("no", Code.NotFound)), true],
    ["must not be stored", () => Promise.resolve(replyWith("x", { "set-cookie": "a=1" })), true],
    ["makes no sense", () => Promise.resolve({ ...replyWith("x"), message: Buffer.from([0xff]) }), true],
    ["is too large", () => Promise.resolve(replyWith("x".repeat(1_000_001))), true],
  ])("that %s gives the lease back", async (_what, reply: () => Promise<Reply>, isPassed) => {
    const cache = make();
    cache.reply = reply;
    await cache.call().catch(() => undefined);
    expect([cache.givenUp, cache.written]).toEqual([1, []]);
    // Who comes next does not wait for what cannot be stored anyway.
    cache.reply = () => Promise.resolve(replyWith("new"));
    const next = statusOf(await cache.call());
    expect(next).toBe(isPassed ? "heddle; fwd=bypass; detail=NOT_STORABLE" : "heddle; fwd=miss; stored");
    cache.clock.advance(1000);
    expect(statusOf(await cache.call({}, { deadline: START + 9000 }))).toBe("heddle; fwd=miss; stored");
  });

  test("replaces an entry that its caller must not have, if that answers for the same tags", async () => {
    for (const [tags, stores] of [
      [["item:1", "more"], true],
      [["other"], false],
    ] as const) {
      const cache = make();
      const found = { state: "fresh", value: entry("old", { tags: [...tags] }), version: 7 };
      Object.assign(cache, { hasLease: false, found });
      const reply = await cache.call({ "cache-control": "no-cache" });
      expect([textOf(reply), cache.written.length]).toEqual(["new", stores ? 1 : 0]);
      expect(cache.written.every(({ how }) => how === "swap")).toBe(true);
      expect(await cache.count("refused")).toBe(1);
    }
  });

  test("gives the bearer of a token nothing that was loaded before the token was seen", async () => {
    const cache = make();
    const token = { "x-heddle-db-token": "s=a:1" };
    Object.assign(cache, { hasLease: false, found: { state: "fresh", value: entry("old"), version: 7 } });
    expect(textOf(await cache.call(token))).toBe("new");
    cache.clock.advance(10);
    cache.found = { state: "fresh", value: entry("later", { loadedAtMs: BigInt(START + 1) }), version: 8 };
    expect(textOf(await cache.call(token))).toBe("later");
  });

  test("gives nothing that a write before it may be missing in", async () => {
    const cache = make({ doubtedSince: START - 1000 });
    Object.assign(cache, { hasLease: false, found: { state: "fresh", value: entry("old"), version: 7 } });
    expect(textOf(await cache.call())).toBe("new");
    cache.found = { state: "fresh", value: entry("later", { loadedAtMs: BigInt(START - 999) }), version: 8 };
    expect(textOf(await cache.call())).toBe("later");
  });

  test("goes on as it is when it cannot or must not be cached", async () => {
    const token = { "x-heddle-db-token": "s=a:1" };
    const cases = [
      [make({ hasNodes: false }), {}, "heddle; fwd=bypass; detail=NO_NODES"],
      [make(), { "cache-control": "no-store" }, "heddle; fwd=request; detail=NO_STORE"],
      [
        Object.assign(make(), { hasLease: false, found: { state: "failed", value: undefined, version: 0 } }),
        {},
        "heddle; fwd=bypass; detail=UNAVAILABLE",
      ],
      [Object.assign(make(), { hasLease: false }), {}, "heddle; fwd=miss"],
    ] as const;
    for (const [cache, headers, expected] of cases) {
      const reply = await cache.call({ ...token, ...headers });
      expect([statusOf(reply), cache.written]).toEqual([expected, []]);
      expect(cache.sent[0]!.metadata.get("x-heddle-db-token")).toBe("s=a:1");
      expect(cache.sent[0]!.deadline).toBe(START + 1000);
    }
  });

  test("with only-if-cached asks nobody, whatever is in the way", async () => {
    for (const cache of [make(), make({ hasNodes: false })]) {
      const reading = cache.call({ "cache-control": "only-if-cached" });
      await expect(reading).rejects.toMatchObject({ code: Code.FailedPrecondition });
      expect(cache.sent).toEqual([]);
    }
  });

  test("leaves what is no message to the service", async () => {
    const cache = make();
    await cache.call({}, { request: Buffer.from([0xff]) });
    expect([cache.sent.length, cache.written]).toEqual([1, []]);
  });
});
