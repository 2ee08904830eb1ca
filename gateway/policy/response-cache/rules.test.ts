import { create } from "@bufbuild/protobuf";
import { createFileRegistry } from "@bufbuild/protobuf";
import { setExtension } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  MethodOptions_IdempotencyLevel as Level,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  cache,
  CacheRuleSchema,
  invalidates,
  InvalidationRuleSchema,
} from "../../../gen/ts/heddle/gateway/v1/options_pb.ts";
import { catalog, method } from "./catalog.fixture.ts";
import { cachingOf } from "./rules.ts";

/** A method with these options, of messages with a field `id`. */
function methodWith(options: {
  readonly cache?: Parameters<typeof create<typeof CacheRuleSchema>>[1];
  readonly invalidates?: readonly string[];
  readonly level?: Level;
  readonly streams?: boolean;
}) {
  const methodOptions = create(MethodOptionsSchema, {
    idempotencyLevel: options.level ?? Level.NO_SIDE_EFFECTS,
  });
  if (options.cache !== undefined) setExtension(methodOptions, cache, create(CacheRuleSchema, options.cache));
  if (options.invalidates !== undefined)
    setExtension(
      methodOptions,
      invalidates,
      create(InvalidationRuleSchema, { tags: [...options.invalidates] }),
    );
  const file = create(FileDescriptorProtoSchema, {
    name: "t.proto",
    package: "t",
    syntax: "proto3",
    messageType: [{ name: "M", field: [{ name: "id", number: 1, type: 9, label: 1, jsonName: "id" }] }],
    service: [
      {
        name: "S",
        method: [
          {
            name: "Do",
            inputType: ".t.M",
            outputType: ".t.M",
            serverStreaming: options.streams ?? false,
            options: methodOptions,
          },
        ],
      },
    ],
  });
  const service = createFileRegistry(file, () => undefined).getService("t.S");
  return cachingOf(service!.methods[0]!);
}

const ttl = { seconds: 1n };

describe("cachingOf", () => {
  test("reads the options of a method that was learned by reflection", () => {
    expect(method("ReadItem").caching?.read).toMatchObject({
      ttlMs: 60_000,
      graceMs: 0,
      isPublic: true,
      vary: ["accept-language"],
      tags: [{ source: "item:{id}" }],
    });
    expect(method("ReadFleetingItem").caching?.read).toMatchObject({ ttlMs: 200, graceMs: 60_000 });
    expect(method("WriteItem").caching?.write).toMatchObject({ tags: [{ source: "item:{id}" }] });
    expect(methodWith({})).toEqual({ caching: undefined, problems: [] });
  });

  test("refuses rules that cannot be kept, each with its reason", () => {
    const cases: [Parameters<typeof methodWith>[0], RegExp][] = [
      [{ cache: {} }, /ttl must be/],
      [{ cache: { ttl: { seconds: -1n } } }, /ttl must be/],
      [{ cache: { ttl: { seconds: 31n * 86_400n } } }, /ttl must be/],
      [{ cache: { ttl, grace: { seconds: -1n } } }, /grace must be/],
      [{ cache: { ttl, vary: ["Accept"] } }, /no header name in lower case/],
      [{ cache: { ttl, tags: ["x:{nothing}"] } }, /\{nothing\} is a field of neither/],
      [{ cache: { ttl, tags: ["x:{id"] } }, /without its other one/],
      [
        { cache: { ttl, tags: Array.from({ length: 9 }, (_, index) => `t${index}`) } },
        /9 tags; the most are 8/,
      ],
      [{ cache: { ttl }, level: Level.IDEMPOTENT }, /NO_SIDE_EFFECTS can be cached/],
      [{ cache: { ttl }, streams: true }, /only unary methods can be cached/],
      [{ invalidates: ["x"] }, /changes nothing/],
      [{ invalidates: [], level: Level.IDEMPOTENT }, /there are no tags/],
      [{ invalidates: ["x"], level: Level.IDEMPOTENT, streams: true }, /only unary methods can invalidate/],
    ];
    for (const [options, problem] of cases) {
      const { caching, problems } = methodWith(options);
      expect([caching, problems]).toEqual([undefined, [expect.stringMatching(problem)]]);
    }
  });

  test("invalidates what it can even if one tag is wrong", () => {
    const { caching, problems } = methodWith({
      invalidates: ["item:{id}", "x:{nothing}"],
      level: Level.IDEMPOTENCY_UNKNOWN,
    });
    expect(caching?.write?.tags.map(({ source }) => source)).toEqual(["item:{id}"]);
    expect(problems).toHaveLength(1);
  });

  test("shows its problems with those of routes, and keeps the route", () => {
    expect(catalog.problems.every((problem) => problem.method === "ReadBroken")).toBe(true);
    expect(catalog.problems).toHaveLength(4);
    expect(catalog.table.match("GET", "/v1/broken/1")).toMatchObject({
      route: { method: { caching: undefined } },
    });
  });
});
