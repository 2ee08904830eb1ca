import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { OperationKind, Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { operation, type Result } from "../mesh/cache/session-codec.ts";
import { ConfigError, loadConfig, type Config } from "../mesh/config.ts";
import { cacheProblems, cacheSettings } from "./config.ts";
import { startRuntime } from "./runtime.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "heddle-cache-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function load(yaml: string): Config {
  const file = join(folder, "cache.yaml");
  writeFileSync(file, yaml);
  return loadConfig(["--config", file], {}, cacheProblems);
}

function problems(yaml: string): readonly string[] {
  try {
    load(yaml);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test("has a namespace and limits where nothing is configured", () => {
  expect(problems("")).toEqual([]);
  expect(cacheSettings(load("").cache)).toEqual({
    maxBytes: 268_435_456,
    replicas: 2,
    namespaces: [{ name: "default", ack: "two", maxBytes: 0, tombstoneMs: 120_000 }],
  });
});

test("takes every key of a namespace", () => {
  const { cache } = load(`
cache:
  max_bytes: 33554432
  namespaces:
    - { name: pages, ack: one, max_bytes: 16777216, tombstone_ttl: 3600s }
`);
  expect(cacheSettings(cache)).toMatchObject({
    maxBytes: 33_554_432,
    namespaces: [{ name: "pages", ack: "one", maxBytes: 16_777_216, tombstoneMs: 3_600_000 }],
  });
});

test("tells everything that is wrong at once, and where", () => {
  const found = problems(`
registry: { endpoints: ["127.0.0.1:7070"] }
cache:
  max_bytes: 2097152
  replicas: 4
  members: ["127.0.0.1:7201"]
  namespaces:
    - { name: a, ack: three }
    - { name: a, max_bytes: 2097152, tombstone_ttl: 59s }
    - { name: Big, max_bytes: 2097152, tombstone_ttl: 86401s }
`);
  expect(found).toHaveLength(8);
  expect(found).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^cache\.replicas: .*3/),
      expect.stringMatching(/^cache\.namespaces\[0\]\.ack: .*available/),
      expect.stringMatching(/^cache\.namespaces\[1\]\.tombstone_ttl: /),
      expect.stringMatching(/^cache\.namespaces\[2\]\.tombstone_ttl: /),
      expect.stringMatching(/^cache\.namespaces\[2\]\.name: /),
      'cache.namespaces[1].name: "a" is the name of cache.namespaces[0] too',
      "cache.namespaces: their max_bytes add up to 4194304; cache.max_bytes is 2097152",
      "cache.members: registry.endpoints names the members already; give one of the two",
    ]),
  );
});

test("refuses to leave a namespace nothing", () => {
  expect(
    problems("cache: { max_bytes: 2097152, namespaces: [{ name: a, max_bytes: 2097152 }, { name: b }] }"),
  ).toEqual(['cache.namespaces: max_bytes of the others leaves nothing of cache.max_bytes for "b"']);
});

test("a namespace remembers deletions for as long as it says, and the shortest decides on absences", async () => {
  const { cache } = load(`
cache:
  max_bytes: 4194304
  namespaces: [{ name: long, tombstone_ttl: 3600s }, { name: short, tombstone_ttl: 60s }, { name: usual }]
`);
  const runtime = await startRuntime({ listen: "127.0.0.1:0", config: cache });
  onTestFinished(() => runtime.leave(0));
  runtime.joinStatic([runtime.address]);
  const { node } = runtime;
  expect(node.core.maxAbsenceMs).toBe(30_000);
  const begin = Date.now();
  for (const [name, seconds] of [
    ["long", 3600],
    ["short", 60],
    ["usual", 120],
  ] as const) {
    const key = Buffer.from(`${name}:k`);
    const op = operation({ id: 1, kind: OperationKind.DELETE, key, ack: 1 });
    const { status } = await new Promise<Result>((resolve) => node.execute(op, resolve));
    expect(status).toBe(Status.OK);
    const keptMs = node.core.store.columns.expireAt[node.core.store.find(key)]! - begin;
    expect(Math.round(keptMs / 1000)).toBe(seconds);
  }
});
