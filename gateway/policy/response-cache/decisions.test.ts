/** The pure decisions of the response cache, as tables. */
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CachedResponseSchema } from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import { method } from "./catalog.fixture.ts";
import { noDirectives, requestDirectives } from "./directives.ts";
import { createRecent } from "./recent.ts";
import { ageMs, refusalOf, type Circumstances } from "./refusal.ts";
import { entryOf, etagOf, matchesEtag, replyOf, statusText } from "./replies.ts";
import { freshnessMs, keptHeaders } from "./storable.ts";

const shared = method("ReadItem").caching!.read!;
const own = method("ReadOwnItem").caching!.read!;

describe("requestDirectives", () => {
  test.each([
    [null, {}],
    ["", {}],
    ["no-cache", { noCache: true }],
    ["No-Store, ONLY-IF-CACHED", { noStore: true, onlyIfCached: true }],
    ["max-age=5, x=1", { maxAgeMs: 5000 }],
    ['max-age="7"', { maxAgeMs: 7000 }],
    ["max-age=never, max-age", {}],
    ["max-age=-1", {}],
    ["max-age=0", { maxAgeMs: 0 }],
  ])("reads %j", (header, expected) => {
    expect(requestDirectives(header)).toEqual({ ...noDirectives, ...expected });
  });
});

describe("freshnessMs", () => {
  test.each([
    [shared, {}, 60_000],
    [shared, { "cache-control": "max-age=10" }, 10_000],
    [shared, { "cache-control": "max-age=10, s-maxage=5" }, 5000],
    [shared, { "cache-control": "max-age=1000" }, 60_000],
    [shared, { "cache-control": "max-age=0" }, undefined],
    [shared, { "cache-control": "no-store" }, undefined],
    [shared, { "cache-control": "no-cache" }, undefined],
    [shared, { "cache-control": "private" }, undefined],
    [own, { "cache-control": "private" }, 60_000],
    [own, { "set-cookie": "a=1" }, undefined],
    [shared, { vary: "Accept-Language" }, 60_000],
    [shared, { vary: "accept-language, authorization" }, undefined],
    [own, { vary: "authorization" }, 60_000],
    [own, { vary: "*" }, undefined],
  ])("of %o with %j is %j", (rule, headers, expected) => {
    expect(freshnessMs(rule, new Headers(headers as Record<string, string>))).toBe(expected);
  });

  test("what is about one call is not kept", () => {
    const metadata = new Headers({
      "x-kept": "1",
      etag: '"e"',
      "x-request-id": "1",
      traceparent: "1",
      date: "1",
      "x-heddle-db-token": "a=b:1",
      "grpc-status": "0",
    });
    expect(keptHeaders(metadata).map(({ name }) => name)).toEqual(["etag", "x-kept"]);
  });
});

describe("refusalOf", () => {
  const entry = create(CachedResponseSchema, { loadedAtMs: 10_000n, loadedBy: "me", tags: ["a"] });
  const around: Circumstances = {
    asked: noDirectives,
    nowMs: 12_000,
    gateway: "me",
    tokenSeenMs: undefined,
    doubtedSince: () => undefined,
  };
  const cases: [Partial<Circumstances>, string | undefined][] = [
    [{}, undefined],
    [{ asked: { ...noDirectives, noCache: true } }, "NO_CACHE"],
    [{ asked: { ...noDirectives, maxAgeMs: 1999 } }, "MAX_AGE"],
    [{ asked: { ...noDirectives, maxAgeMs: 2000 } }, undefined],
    [{ tokenSeenMs: 9999 }, undefined],
    [{ tokenSeenMs: 10_000 }, "TOKEN"],
    [{ tokenSeenMs: 11_000 }, "TOKEN"],
    // The clock of another gateway may be half a second off.
    [{ tokenSeenMs: 9999, gateway: "other" }, "TOKEN"],
    [{ tokenSeenMs: 9499, gateway: "other" }, undefined],
    [{ doubtedSince: () => 10_000 }, "INVALIDATING"],
    [{ doubtedSince: () => 9999 }, undefined],
    [{ doubtedSince: () => 9999, gateway: "other" }, "INVALIDATING"],
  ];
  test.each(cases)("with %o is %j", (some, expected) => {
    expect(refusalOf(entry, { ...around, ...some })).toBe(expected);
  });

  test("ages are never negative", () => expect(ageMs(entry, 9000)).toBe(0));
});

describe("replies", () => {
  test.each([
    [{ hit: true, ttlMs: 12_999 }, "heddle; hit; ttl=12"],
    [{ hit: true, ttlMs: -1, detail: "REVALIDATING" }, "heddle; hit; ttl=-1; detail=REVALIDATING"],
    [{ hit: false, forward: "miss", isStored: true }, "heddle; fwd=miss; stored"],
    [
      { hit: false, forward: "bypass", isStored: false, detail: "NO_NODES" },
      "heddle; fwd=bypass; detail=NO_NODES",
    ],
  ] as const)("say %o as %j", (status, expected) => expect(statusText(status)).toBe(expected));

  test.each([
    ['"a"', true],
    ['W/"a"', true],
    ['"b", W/"a"', true],
    ["*", true],
    ['"b"', false],
    ["a", false],
    ["", false],
  ])('If-None-Match: %s matches W/"a": %j', (header, expected) => {
    expect(matchesEtag(header, 'W/"a"')).toBe(expected);
  });

  test("come back as they were stored, with the headers of the cache", () => {
    const message = Buffer.from("message");
    const reply = {
      message,
      metadata: new Headers({ "x-a": "1", "x-request-id": "2" }),
      trailers: () => new Headers({ "x-b": "3", "x-heddle-db-token": "s=a:1" }),
    };
    const entry = entryOf(reply, { loadedAtMs: 1000n, ttlMs: 60_000, tags: [], loadedBy: "me" });
    const back = replyOf(shared, entry, 3500);
    expect(back.message).toEqual(message);
    expect(Object.fromEntries(back.metadata)).toEqual({
      "x-a": "1",
      age: "2",
      etag: etagOf(message),
      vary: "accept-language",
      "cache-control": "public, no-cache",
      "cache-status": "heddle; hit; ttl=57",
    });
    expect(Object.fromEntries(back.trailers())).toEqual({ "x-b": "3" });
  });
});

test("a recent map forgets what was put in first", () => {
  const recent = createRecent<number>(2);
  for (const [index, key] of ["a", "b", "a", "c"].entries()) recent.set(key, index);
  expect(["a", "b", "c"].map((key) => recent.get(key))).toEqual([2, undefined, 3]);
});
