import { connect } from "node:http2";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OperationKind, Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { CacheNamespaceSchema, CacheSchema } from "../gen/ts/heddle/config/v1/config_pb.ts";
import { createCache, type Cache } from "../mesh/cache/client.ts";
import { operation } from "../mesh/cache/session-codec.ts";
import { slotOf } from "../mesh/cache/slots.ts";
import { createCacheTier, type CacheTier } from "../mesh/cache/tier.ts";
import { createStaticResolver } from "../mesh/registry/static-resolver.ts";
import { startRuntime, type Runtime } from "./runtime.ts";

const config = create(CacheSchema, {
  maxBytes: 8n * 1024n * 1024n,
  namespaces: [
    create(CacheNamespaceSchema, { name: "shop" }),
    create(CacheNamespaceSchema, { name: "quick", ack: "one" }),
  ],
});

/** Longer than a busy machine may hold up a test. */
const PATIENT_MS = 5000;

interface Cluster {
  readonly nodes: readonly Runtime[];
  readonly tier: CacheTier;
  readonly cache: Cache<string>;
  readonly outcomes: string[];
  close(): Promise<void>;
}

async function start(count: number): Promise<Cluster> {
  const nodes = await Promise.all(
    Array.from({ length: count }, () => startRuntime({ listen: "127.0.0.1:0", config })),
  );
  const addresses = nodes.map(({ address }) => address);
  for (const node of nodes) node.joinStatic(addresses);
  await until(() => nodes.every(({ node }) => node.isHandedOver() && isWarm(node)));
  const tier = createCacheTier({ resolver: createStaticResolver(addresses) });
  const outcomes: string[] = [];
  const cache = createCache<string>({
    tier,
    namespace: "shop",
    readTimeoutMs: PATIENT_MS,
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  return {
    nodes,
    tier,
    cache,
    outcomes,
    async close() {
      await tier.close();
      await Promise.all(nodes.map((node) => node.leave(0)));
    },
  };
}

function isWarm({ core }: Runtime["node"]): boolean {
  const ring = core.ring();
  return Array.from({ length: 4096 }, (_, slot) => slot).every((slot) => {
    const place = ring.place(slot, core.self);
    return place < 0 || place > 1 || core.warm.has(slot);
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("three nodes and a client", () => {
  let cluster: Cluster;
  let other: CacheTier;
  beforeAll(async () => {
    cluster = await start(3);
    other = createCacheTier({ resolver: createStaticResolver(cluster.nodes.map(({ address }) => address)) });
  });
  afterAll(async () => {
    await other.close();
    await cluster.close();
  });

  test("keep what is written on two nodes", async () => {
    expect(await cluster.cache.set("a", "one", { ttlMs: 60_000 })).toBe(true);
    expect(await cluster.cache.get("a")).toBe("one");
    const holders = cluster.nodes.filter(({ node }) => node.core.store.find(Buffer.from("shop:a")) !== -1);
    expect(holders).toHaveLength(2);
  });

  test("do not give an old value that a node holds without owning it, except as a stand-in", async () => {
    const key = Buffer.from("shop:former");
    const [, , former] = (cluster.nodes[0] as Runtime).node.core.ring().owners(slotOf(key));
    const { node } = cluster.nodes.find(({ address }) => address === former) as Runtime;
    node.core.store.apply({
      key,
      value: Buffer.from("old"),
      version: node.core.versions.next(),
      expireAt: Infinity,
      graceMs: 0,
      tags: [],
      encoding: 0,
      space: 1,
      loadMs: 0,
    });
    const statuses: Status[] = [];
    for (const standIn of [false, true]) {
      const op = operation({ kind: OperationKind.GET, key, standIn });
      node.execute(op, ({ status }) => statuses.push(status));
    }
    expect(statuses).toEqual([Status.NOT_OWNER, Status.OK]);
  });

  test("forget what is deleted", async () => {
    await cluster.cache.set("b", "one");
    expect(await cluster.cache.delete("b")).toBe(true);
    expect(await cluster.cache.get("b")).toBeUndefined();
  });

  test("give many values at once", async () => {
    await Promise.all(["m1", "m2", "m3"].map((key) => cluster.cache.set(key, `value of ${key}`)));
    const found = await cluster.cache.getMany(["m1", "m2", "none", "m3"]);
    expect([...found.keys()]).toEqual(["m1", "m2", "m3"]);
  });

  test("let one of many conditional writes of a version win", async () => {
    await cluster.cache.set("c", "zero");
    const before = await cluster.cache.getVersioned("c");
    const tries = await Promise.all(
      Array.from({ length: 10 }, (_, index) => cluster.cache.compareAndSet("c", before?.version, `${index}`)),
    );
    expect(tries.filter(({ won }) => won === true)).toHaveLength(1);
    expect((await cluster.cache.compareAndSet("new", undefined, "x")).won).toBe(true);
    expect((await cluster.cache.compareAndSet("new", undefined, "y")).won).toBe(false);
  });

  test("load a missing value once for a thousand callers in two clients", async () => {
    const second = createCache<string>({ tier: other, namespace: "shop" });
    let loads = 0;
    const load = async () => {
      loads++;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return "loaded";
    };
    const values = await Promise.all(
      Array.from({ length: 1000 }, (_, index) =>
        (index % 2 === 0 ? cluster.cache : second).getOrLoad("cold", { ttlMs: 60_000 }, load),
      ),
    );
    expect(new Set(values)).toEqual(new Set(["loaded"]));
    expect(loads).toBe(1);
  });

  test("pass the lease on when a loader fails", async () => {
    const failing = cluster.cache.getOrLoad("broken", {}, () => Promise.reject(new Error("source is down")));
    await expect(failing).rejects.toThrow("source is down");
    expect(await cluster.cache.getOrLoad("broken", {}, () => Promise.resolve("fine"))).toBe("fine");
    expect(await cluster.cache.get("broken")).toBe("fine");
  });

  test("do not let a loader put back what was changed while it loaded", async () => {
    await cluster.cache.getOrLoad("race", {}, async () => {
      await cluster.cache.set("race", "new");
      return "old";
    });
    expect(await cluster.cache.get("race")).toBe("new");
  });

  test("serve what is stale while one caller loads it anew", async () => {
    await cluster.cache.set("s", "old", { ttlMs: 1, graceMs: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await cluster.cache.get("s")).toBeUndefined();
    const stale = await cluster.cache.getOrLoad("s", { ttlMs: 60_000, graceMs: 60_000 }, () =>
      Promise.resolve("new"),
    );
    expect(stale).toBe("old");
    while ((await cluster.cache.get("s")) !== "new") await new Promise((resolve) => setTimeout(resolve, 2));
  });

  test("invalidate everything with a tag on all nodes before they answer", async () => {
    const keys = Array.from({ length: 50 }, (_, index) => `tagged-${index}`);
    await Promise.all(keys.map((key) => cluster.cache.set(key, "v", { tags: ["menu", `own-${key}`] })));
    expect((await cluster.cache.getMany(keys)).size).toBe(50);
    expect(await cluster.cache.invalidateTags(["menu"])).toBe(true);
    expect((await cluster.cache.getMany(keys)).size).toBe(0);
    await cluster.cache.set(keys[0] as string, "again", { tags: ["menu"] });
    expect(await cluster.cache.get(keys[0] as string)).toBe("again");
  });

  test("make entries stale instead where that is asked", async () => {
    await cluster.cache.set("soft", "old", { tags: ["soft"] });
    await cluster.cache.invalidateTags(["soft"], { soft: true });
    expect(await cluster.cache.get("soft")).toBeUndefined();
    expect(await cluster.cache.getOrLoad("soft", { graceMs: 1 }, () => Promise.resolve("new"))).toBe("old");
  });

  test("keep large values compressed", async () => {
    const large = createCache<string>({ tier: cluster.tier, namespace: "quick" });
    const text = "a line that repeats itself. ".repeat(2000);
    await large.set("large", text);
    expect(await large.get("large")).toBe(text);
    const held = cluster.nodes.map(({ node }) => {
      const id = node.core.store.find(Buffer.from("quick:large"));
      return id === -1
        ? 0
        : node.core.store.arena.valueBytesAt(node.core.store.columns.address[id] as number);
    });
    expect(Math.max(...held)).toBeLessThan(text.length / 10);
  });

  test.each([
    ["a key that is too long", { key: Buffer.from(`shop:${"k".repeat(2000)}`) }, /the most are 1024/],
    ["a value that is too long", { value: Buffer.alloc(2_000_000) }, /the most are 1048576/],
    [
      "an unknown namespace",
      { key: Buffer.from("nobody:k") },
      /no namespace "nobody"; there are: shop, quick/,
    ],
    ["a key without a namespace", { key: Buffer.from("k") }, /write namespace:key/],
    ["too many tags", { tags: Array.from({ length: 9 }, String) }, /the most are 8/],
    ["an unknown kind", { kind: 99 as OperationKind }, /no operation of kind 99/],
  ])("refuse %s with a sentence", async (_, parts, message) => {
    const op = operation({ kind: OperationKind.SET, key: Buffer.from("shop:k"), ...parts });
    const answer = await cluster.tier.execute(op, 1000);
    expect(answer.status).toBe(Status.INVALID);
    expect(answer.message).toMatch(message);
  });

  test("refuse a time to live that is none", async () => {
    await expect(cluster.cache.set("k", "v", { ttlMs: -1 })).rejects.toThrow(TypeError);
  });

  test("end a session that sends garbage, and go on serving others", async () => {
    const http = connect(`http://${cluster.nodes[0]?.address}`);
    const stream = http.request({ ":method": "POST", ":path": "/heddle.cache.v1.CacheService/Session" });
    stream.write(Buffer.from([0, 0, 0, 0, 3, 10, 200, 1]));
    const trailers = await new Promise<Record<string, unknown>>((resolve) => {
      stream.on("trailers", resolve);
      stream.resume();
    });
    http.destroy();
    expect(trailers["grpc-status"]).toBe("3");
    expect(await cluster.cache.set("after", "garbage")).toBe(true);
  });
});

describe("a process that keeps copies", () => {
  let cluster: Cluster;
  let other: CacheTier;
  let near: Cache<string>;
  const counts = { near: 0 };
  beforeAll(async () => {
    cluster = await start(3);
    const resolver = createStaticResolver(cluster.nodes.map(({ address }) => address));
    const metrics = { outcome: () => {}, hedged: () => {}, nearHit: () => counts.near++ };
    other = createCacheTier({ resolver, metrics });
    near = createCache<string>({ tier: other, namespace: "shop", readTimeoutMs: PATIENT_MS, nearMs: 2000 });
  });
  afterAll(async () => {
    await other.close();
    await cluster.close();
  });

  /** Reads, so that the process has a copy, and proves that it has. */
  async function copyOf(key: string, value: string): Promise<void> {
    await eventually(async () => (await near.get(key)) === value);
    const before = counts.near;
    expect(await near.get(key)).toBe(value);
    expect(counts.near).toBe(before + 1);
  }

  test("hears of a change by another process", async () => {
    await cluster.cache.set("a", "one");
    await copyOf("a", "one");
    await cluster.cache.set("a", "two");
    await eventually(async () => (await near.get("a")) === "two");
  });

  test("hears that an entry was deleted, or invalidated by its tag", async () => {
    await cluster.cache.set("b", "one");
    await copyOf("b", "one");
    await cluster.cache.delete("b");
    await eventually(async () => (await near.get("b")) === undefined);
    await cluster.cache.set("c", "one", { tags: ["t"] });
    await copyOf("c", "one");
    await cluster.cache.invalidateTags(["t"]);
    await eventually(async () => (await near.get("c")) === undefined);
  });

  test("sees its own writes at once", async () => {
    for (let round = 0; round < 20; round++) {
      await near.set("own", `${round}`);
      expect(await near.get("own")).toBe(`${round}`);
      expect(await near.get("own")).toBe(`${round}`);
    }
  });

  test("keeps what nodes say is hot, though nobody asked for it", async () => {
    const plain = createCache<string>({ tier: other, namespace: "shop", readTimeoutMs: PATIENT_MS });
    await plain.set("hot", "value");
    const reached = counts.near;
    const readMany = () => Promise.all(Array.from({ length: 200 }, () => plain.get("hot")));
    while (counts.near === reached) await readMany();
    await cluster.cache.set("hot", "new");
    await eventually(async () => (await plain.get("hot")) === "new");
  });

  /** Well before a copy that nobody invalidates is given up. */
  async function eventually(condition: () => Promise<boolean>): Promise<void> {
    const begin = performance.now();
    while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(performance.now() - begin).toBeLessThan(1800);
  }
});

describe("a node that is gone", () => {
  test("costs no entry and no failed operation", async () => {
    const cluster = await start(3);
    const keys = Array.from({ length: 300 }, (_, index) => `k${index}`);
    const acked = await Promise.all(keys.map((key) => cluster.cache.set(key, `of ${key}`)));
    expect(acked.every(Boolean)).toBe(true);
    const [gone, ...left] = cluster.nodes as [Runtime, Runtime, Runtime];
    await gone.leave(0);
    const found = await cluster.cache.getMany(keys);
    expect(found.size).toBe(300);
    const again = await Promise.all(keys.map((key) => cluster.cache.set(key, "new")));
    expect(again.every(Boolean)).toBe(true);
    for (const node of left) node.joinStatic(left.map(({ address }) => address));
    await until(() => left.every(({ node }) => node.isHandedOver()));
    for (const key of keys) {
      for (const { node } of left) expect(node.core.store.find(Buffer.from(`shop:${key}`))).not.toBe(-1);
    }
    await cluster.close();
  });

  test("is filled when it comes back, before it says that anything is missing", async () => {
    const cluster = await start(2);
    const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
    await Promise.all(keys.map((key) => cluster.cache.set(key, `of ${key}`)));
    const third = await startRuntime({ listen: "127.0.0.1:0", config });
    const addresses = [...cluster.nodes, third].map(({ address }) => address);
    const tier = createCacheTier({ resolver: createStaticResolver(addresses) });
    const cache = createCache<string>({ tier, namespace: "shop", readTimeoutMs: PATIENT_MS });
    for (const node of [...cluster.nodes, third]) node.joinStatic(addresses);
    expect((await cache.getMany(keys)).size).toBe(100);
    await until(() => isWarm(third.node));
    const own = keys.filter(
      (key) => third.node.core.ring().owners(slotOf(Buffer.from(`shop:${key}`)))[0] === third.address,
    );
    expect(own.length).toBeGreaterThan(10);
    for (const key of own) expect(third.node.core.store.find(Buffer.from(`shop:${key}`))).not.toBe(-1);
    await tier.close();
    await third.leave(0);
    await cluster.close();
  });
});

test("a tier that is down breaks nobody", async () => {
  const tier = createCacheTier({ resolver: createStaticResolver(["127.0.0.1:1"]) });
  const outcomes: string[] = [];
  const cache = createCache<string>({
    tier,
    namespace: "shop",
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  expect(await cache.get("k")).toBeUndefined();
  expect(await cache.set("k", "v")).toBe(false);
  expect(await cache.invalidateTags(["t"])).toBe(false);
  expect((await cache.compareAndSet("k", undefined, "v")).won).toBeUndefined();
  expect(await cache.getOrLoad("k", {}, () => Promise.resolve("from the source"))).toBe("from the source");
  expect(new Set(outcomes)).toEqual(new Set(["failed"]));
  await tier.close();
});
