/** What a cache node does with input that is wrong: it says what is wrong, loses nothing else, and neither grows nor ends. */
import { readFileSync } from "node:fs";
import { toBinary } from "@bufbuild/protobuf";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  CacheService,
  OperationKind,
  SessionRequestSchema,
  Status,
} from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { ReplicateRequestSchema } from "../../gen/ts/heddle/cache/v1/replication_service_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from "../../gen/ts/grpc/health/v1/health_pb.ts";
import { WARM_STATUS } from "../../cache/warmth.ts";
import { createCache } from "../../mesh/cache/client.ts";
import { operation, type Operation } from "../../mesh/cache/session-codec.ts";
import { createCacheTier, type CacheTier } from "../../mesh/cache/tier.ts";
import { createStaticResolver } from "../../mesh/registry/static-resolver.ts";
import { createChannel, type Channel } from "../../mesh/rpc/channel.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { startCacheCluster, type CacheCluster } from "../support/cache-cluster.ts";
import { framed, openRaw } from "../support/raw-stream.ts";

const SESSION = "/heddle.cache.v1.CacheService/Session";
const REPLICATE = "/heddle.cache.v1.ReplicationService/Replicate";
const INVALID_ARGUMENT = { "grpc-status": "3" };
const MIB = 1024 * 1024;

let cluster: CacheCluster;
let tier: CacheTier;
let channel: Channel;
let node: Client<typeof CacheService>;
beforeAll(async () => {
  cluster = await startCacheCluster(3, ["max_bytes: 67108864", "namespaces: [{ name: t }, { name: u }]"]);
  tier = createCacheTier({ resolver: createStaticResolver(cluster.addresses) });
  channel = createChannel({ resolver: createStaticResolver(cluster.addresses.slice(0, 1)) });
  node = createClient(CacheService, createTransport(channel, { timeoutMs: 5000 }));
});
afterAll(async () => {
  await tier.close();
  await channel.close();
  await cluster.stop();
});

const execute = (op: Partial<Operation>) =>
  tier.execute(operation({ kind: OperationKind.SET, key: Buffer.from("t:k"), ...op }), 5000);

/** The nodes are the same processes as before, and work. */
async function expectAlive(): Promise<void> {
  const key = Buffer.from("t:alive");
  expect((await execute({ key, value: Buffer.from("yes") })).status).toBe(Status.OK);
  const found = await execute({ kind: OperationKind.GET, key });
  expect(Buffer.from(found.value).toString()).toBe("yes");
  for (const index of cluster.addresses.keys())
    expect((await cluster.stats(index)).node).toBe(cluster.addresses[index]);
}

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );

function rssBytes(index: number): number {
  const status = readFileSync(`/proc/${cluster.process(index).pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

describe("an operation that cannot be", () => {
  test.each<[string, Partial<Operation>, RegExp]>([
    ["a key that is too long", { key: Buffer.from(`t:${"k".repeat(1023)}`) }, /key has 1025 bytes.*1024/],
    ["a value that is too long", { value: Buffer.alloc(MIB + 1) }, /value has 1048577 bytes.*1048576/],
    ["too many tags", { tags: Array.from({ length: 9 }, (_, n) => `${n}`) }, /9 tags.*8/],
    ["a namespace that is not configured", { key: Buffer.from("nobody:k") }, /no namespace "nobody".*t, u/],
    ["no namespace", { key: Buffer.from("k") }, /namespace:key/],
    ["no key", { key: Buffer.alloc(0) }, /namespace:key/],
    ["a kind that does not exist", { kind: 99 as OperationKind }, /kind 99/],
    ["an encoding beyond a byte", { encoding: 256 }, /encoding is 256.*255/],
  ])("is refused for %s, by name", async (_, op, problem) => {
    const answer = await execute(op);
    expect(answer.status).toBe(Status.INVALID);
    expect(answer.message).toMatch(problem);
  });

  test("with a hundred thousand tags costs no more than its bytes", async () => {
    const begin = performance.now();
    const answer = await execute({ tags: Array.from({ length: 100_000 }, () => "") });
    expect(answer.status).toBe(Status.INVALID);
    expect(performance.now() - begin).toBeLessThan(2000);
  });

  test("with a value longer than a message harms nobody else", async () => {
    const others = Array.from({ length: 50 }, () => execute({ value: Buffer.from("v") }));
    const huge = execute({ key: Buffer.from("t:huge"), value: Buffer.alloc(5 * MIB) });
    for (const { status } of await Promise.all(others)) expect(status).toBe(Status.OK);
    expect((await huge).status).not.toBe(Status.OK);
    await expectAlive();
  });

  test("is a programmer's error where the client can tell", async () => {
    const cache = createCache<string>({ tier, namespace: "t" });
    for (const options of [
      { ttlMs: -1 },
      { ttlMs: 0 },
      { ttlMs: Number.NaN },
      { ttlMs: 2 ** 32 },
      { ttlMs: 1000, graceMs: -1 },
      { ttlMs: 1000, graceMs: 2 ** 32 },
    ])
      await expect(cache.set("k", "v", options)).rejects.toThrow(TypeError);
    expect(() => createCache({ tier, namespace: "Not A Name" })).toThrow(TypeError);
  });

  test("is an answer of Execute, too, and of the call if there is none", async () => {
    const execute = (op: MessageInitShape<typeof SessionRequestSchema>["operations"]) =>
      node.execute({ ...(op?.[0] !== undefined && { operation: op[0] }) });
    const { result } = await execute([{ kind: OperationKind.SET, key: Buffer.from("nobody:k") }]);
    expect(result).toMatchObject({ status: Status.INVALID, message: expect.stringContaining("nobody") });
    expect(await refusal(execute([]))).toBe(Code.InvalidArgument);
    const unspecified = await execute([{ key: Buffer.from("t:k") }]);
    expect(unspecified.result?.status).toBe(Status.INVALID);
    const imprecise = await execute([
      { kind: OperationKind.SET, key: Buffer.from("t:k"), ifVersion: 2n ** 64n - 1n },
    ]).catch((error: unknown) => ConnectError.from(error).code);
    if (typeof imprecise === "object") {
      expect([Status.CONFLICT, Status.NOT_OWNER, Status.INVALID]).toContain(imprecise.result?.status);
    } else expect(imprecise).toBe(Code.InvalidArgument);
    const tags = (count: number) => Array.from({ length: count }, (_, n) => `t:${n}`);
    expect(await refusal(node.invalidateTags({ tags: tags(0) }))).toBe(Code.InvalidArgument);
    expect(await refusal(node.invalidateTags({ tags: tags(1001) }))).toBe(Code.InvalidArgument);
    await expectAlive();
  });
});

test("a client that goes by another ring is told the owners, and gets there", async () => {
  const partial = createCacheTier({ resolver: createStaticResolver(cluster.addresses.slice(1, 2)) });
  onTestFinished(() => partial.close());
  for (let number = 0; number < 100; number++) {
    const key = Buffer.from(`t:ring-${number}`);
    const set = operation({ kind: OperationKind.SET, key, value: Buffer.from(`${number}`) });
    expect((await partial.execute(set, 5000)).status).toBe(Status.OK);
    const found = await partial.execute(operation({ kind: OperationKind.GET, key }), 5000);
    expect(Buffer.from(found.value).toString()).toBe(`${number}`);
  }
});

const session = (message: MessageInitShape<typeof SessionRequestSchema>) =>
  toBinary(SessionRequestSchema, create(SessionRequestSchema, message));
const replicate = (message: MessageInitShape<typeof ReplicateRequestSchema>) =>
  toBinary(ReplicateRequestSchema, create(ReplicateRequestSchema, message));
const hello = {
  kind: { case: "hello" as const, value: { node: "10.0.0.1:1", bootId: "b", ringDigest: "d" } },
};
const append = { kind: { case: "append" as const, value: { key: Buffer.from("t:k"), version: 1n } } };

const garbage: [string, Buffer][] = [
  ["bytes that are no message", framed(Buffer.from("ffffffffffffffffffffff", "hex"))],
  ["a field that ends behind the message", framed(Buffer.from([10, 200]))],
  ["a length of 2 GiB", framed(Buffer.from("x"), { length: 2 ** 31 })],
  ["a length of 4 GiB", framed(Buffer.from("x"), { length: 2 ** 32 - 1 })],
  ["a message that says that it is compressed", framed(session({}), { compressed: true })],
];

describe("a stream ends with INVALID_ARGUMENT for", () => {
  test.each<[string, string, Buffer]>([
    ...garbage.map(([what, bytes]) => [`${what}, in a session`, SESSION, bytes] as [string, string, Buffer]),
    ...garbage.map(
      ([what, bytes]) => [`${what}, in a replication`, REPLICATE, bytes] as [string, string, Buffer],
    ),
    [
      "a version beyond 53 bits",
      SESSION,
      framed(session({ operations: [{ kind: OperationKind.SET, ifVersion: 2n ** 60n }] })),
    ],
    ["a replication that does not begin with Hello", REPLICATE, framed(replicate({ frames: [append] }))],
    ["a replication that says Hello twice", REPLICATE, framed(replicate({ frames: [hello, hello] }))],
  ])("%s", async (_, path, bytes) => {
    const raw = await openRaw(cluster.addresses[0]!, path);
    onTestFinished(() => raw.close());
    raw.stream.resume();
    raw.stream.write(bytes);
    expect(await raw.ended).toMatchObject(INVALID_ARGUMENT);
    await expectAlive();
  });
});

describe("a node is bounded", () => {
  const value = Buffer.alloc(MIB, 1);
  /** A batch of reads of a value of 1 MiB that this node has. */
  async function greedy(address: string, count: number): Promise<Buffer> {
    for (let number = 0; ; number++) {
      const key = Buffer.from(`t:big-${number}`);
      expect((await execute({ key, value })).status).toBe(Status.OK);
      const { result } = await node.execute({ operation: { kind: OperationKind.GET, key } });
      if (result?.status !== Status.OK) continue;
      expect(address).toBe(cluster.addresses[0]);
      const operations = Array.from({ length: count }, (_, id) => ({ id, kind: OperationKind.GET, key }));
      return framed(session({ operations }));
    }
  }

  test("towards a client that never reads its answers", async () => {
    const address = cluster.addresses[0]!;
    const batch = await greedy(address, 2000);
    const before = rssBytes(0);
    const raws = [];
    for (let count = 0; count < 20; count++) {
      const raw = await openRaw(address, SESSION);
      onTestFinished(() => raw.close());
      raw.stream.pause();
      raw.stream.write(batch);
      raws.push(raw);
    }
    await expectAlive();
    let most = 0;
    for (let look = 0; look < 20; look++) {
      most = Math.max(most, rssBytes(0) - before);
      await expectAlive();
    }
    console.log(`20 clients that never read, 2,000 × 1 MiB each: ${(most / MIB).toFixed(0)} MiB more`);
    expect(most).toBeLessThan(200 * MIB);
    for (const raw of raws) raw.close();
  });

  test("towards a client that opens 2,000 streams, each of which announces a long message", async () => {
    const address = cluster.addresses[0]!;
    const before = rssBytes(0);
    const first = await openRaw(address, SESSION);
    onTestFinished(() => first.close());
    for (let count = 0; count < 2000; count++) {
      const path = count % 2 === 0 ? SESSION : REPLICATE;
      const raw = await openRaw(address, path, first.http);
      raw.stream.resume();
      raw.stream.write(framed(Buffer.alloc(100), { length: 4 * MIB }));
    }
    await expectAlive();
    const more = rssBytes(0) - before;
    console.log(`2,000 streams: ${(more / MIB).toFixed(0)} MiB more`);
    expect(more).toBeLessThan(200 * MIB);
    first.close();
    await expectAlive();
  });
});

test("health tells that the nodes are warm, under a name of its own", async () => {
  const health = createClient(Health, createTransport(channel, { timeoutMs: 5000 }));
  await expect.poll(async () => (await health.check({ service: WARM_STATUS })).status).toBe(Serving.SERVING);
  expect((await cluster.stats(0)).warm).toBe(true);
});
