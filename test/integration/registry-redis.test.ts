import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { ulid } from "ulid";
import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { createRegistry, type Registry } from "../../gateway/registry/registry.ts";
import { createRegistryService } from "../../gateway/registry/service.ts";
import { beatIntervalMs } from "../../gateway/registry/store.ts";
import { describeStore, realTime } from "../../gateway/registry/stores/conformance.ts";
import { createRedisStore } from "../../gateway/registry/stores/redis.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { RegistryService } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { hasReason } from "../../mesh/errors.ts";
import { announce, type Announcement } from "../../mesh/registry/announce.ts";
import { dialRegistry } from "../../mesh/registry/dial.ts";
import type { Resolver } from "../../mesh/registry/instances.ts";
import { createMessageQueue } from "../../mesh/registry/message-queue.ts";
import { createResolver } from "../../mesh/registry/resolver.ts";
import { idOf, instanceOf } from "../../mesh/registry/testing.ts";
import { createRpcServer, service, type RpcServer } from "../../mesh/rpc/server.ts";
import { startRedis } from "./redis-server.ts";

const redis = await startRedis();
afterAll(() => redis.kill());

describeStore("the Redis store", {
  make: (options) => Promise.resolve(createRedisStore({ ...options, url: redis.url, keyPrefix: ulid() })),
  pass: realTime,
});

const echo = "test.v1.EchoService";

/** Short, so that outages outlast it: a beat each second. */
const shortLeaseMs = 3000;

let keyPrefix = "";
beforeEach(() => {
  keyPrefix = ulid();
});

interface Gateway {
  readonly registry: Registry;
  readonly server: RpcServer;
  readonly address: string;
}

/** The part of a gateway that matters here: a registry on Redis, and its control port. */
async function startGateway(
  options: { address?: string; leaseMs?: number; snapshotFile?: string } = {},
): Promise<Gateway> {
  const { address = "127.0.0.1:0", leaseMs = shortLeaseMs, ...rest } = options;
  const store = createRedisStore({ url: redis.url, keyPrefix, leaseMs });
  const registry = createRegistry({ store, leaseMs, ...rest });
  const server = createRpcServer({ services: [service(RegistryService, createRegistryService(registry))] });
  onTestFinished(async () => {
    await registry.close();
    await server.close();
  });
  return { registry, server, address: await server.listen(address) };
}

function announceTo(gateways: readonly Gateway[], n: number): Announcement {
  const announcement = announce({
    endpoints: gateways.map(({ address }) => address),
    instance: instanceOf(n),
  });
  onTestFinished(() => announcement.close());
  return announcement;
}

async function resolverOf(...gateways: readonly Gateway[]): Promise<Resolver> {
  const resolver = createResolver({ endpoints: gateways.map(({ address }) => address) });
  onTestFinished(() => resolver.close());
  await resolver.ready(echo, AbortSignal.timeout(5000));
  return resolver;
}

const numbers = (resolver: Resolver) =>
  resolver
    .watch(echo)
    .current()
    .map(({ instanceId }) => Number(instanceId.slice(3)))
    .sort((a, b) => a - b);

const eventually = (check: () => void | Promise<void>) =>
  vi.waitFor(check, { timeout: 15_000, interval: 20 });

/** Notes if the resolver ever has fewer instances than it has now. */
function watchForLosses(resolver: Resolver): () => number {
  const set = resolver.watch(echo);
  let fewest = set.current().length;
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  void (async () => {
    for (;;) {
      await set.changed(stop.signal);
      fewest = Math.min(fewest, set.current().length);
    }
  })().catch(() => undefined);
  return () => fewest;
}

describe("two gateways on one Redis", () => {
  test("see one view: a registration reaches watchers of the other within 300 ms", async () => {
    const leaseMs = 60_000;
    const gateways = [await startGateway({ leaseMs }), await startGateway({ leaseMs })] as const;
    const resolver = await resolverOf(gateways[1]);
    const delaysMs: number[] = [];
    const { client, close } = dialRegistry(gateways[0].address);
    await client.resolve({ service: echo });
    for (let n = 1; n <= 50; n += 1) {
      const changed = resolver.watch(echo).changed(AbortSignal.timeout(5000));
      const beginMs = performance.now();
      await client.register({ instance: instanceOf(n) });
      expect((await client.resolve({ service: echo })).instances).toHaveLength(n);
      await changed;
      delaysMs.push(performance.now() - beginMs);
    }
    await close();
    expect(numbers(resolver)).toHaveLength(50);
    expect(delaysMs.sort((a, b) => a - b)[45]).toBeLessThan(300);
    expect(gateways[0].registry.revision()).toBe(gateways[1].registry.revision());
  });

  test("both know at once when a session breaks, and drop the instance when its lease ends", async () => {
    const gateways = [await startGateway(), await startGateway()] as const;
    for (const n of [1, 2]) await announceTo(gateways, n).ready;
    const { client, close } = dialRegistry(gateways[0].address);
    const requests = createMessageQueue<{
      event: { case: "register"; value: ReturnType<typeof instanceOf> };
    }>();
    requests.push({ event: { case: "register", value: instanceOf(3) } });
    const killed = new AbortController();
    const session = client.session(requests, { signal: killed.signal })[Symbol.asyncIterator]();
    await session.next();
    const resolver = await resolverOf(gateways[1]);
    await eventually(() => expect(numbers(resolver)).toEqual([1, 2, 3]));
    const beginMs = performance.now();
    killed.abort();
    await eventually(() => expect(numbers(resolver)).toEqual([1, 2]));
    expect(performance.now() - beginMs).toBeLessThan(500);
    expect(gateways[0].registry.instances().size).toBe(3);
    await eventually(() => {
      for (const { registry } of gateways) expect(registry.instances().size).toBe(2);
    });
    await close();
  });

  test("an instance that drains leaves on both before drain() is over, or shortly after", async () => {
    const gateways = [await startGateway(), await startGateway()] as const;
    const announcement = announceTo(gateways, 1);
    await announcement.ready;
    const resolver = await resolverOf(gateways[1]);
    await eventually(() => expect(numbers(resolver)).toEqual([1]));
    const beginMs = performance.now();
    await announcement.drain();
    await eventually(() => expect(numbers(resolver)).toEqual([]));
    expect(performance.now() - beginMs).toBeLessThan(200);
    await announcement.close();
    await eventually(() => expect(gateways[1].registry.instances().size).toBe(0));
  });

  test("an older incarnation is refused by either", async () => {
    const gateways = [await startGateway(), await startGateway()] as const;
    const [first, second] = gateways.map(({ address }) => dialRegistry(address));
    await first!.client.register({ instance: instanceOf(1, { incarnation: 2n }) });
    const refusal: unknown = await second!.client
      .register({ instance: instanceOf(1, { incarnation: 1n }) })
      .catch((error: unknown) => error);
    expect((refusal as ConnectError).code).toBe(Code.FailedPrecondition);
    expect(hasReason(refusal, Reason.STALE_INCARNATION)).toBe(true);
    await Promise.all([first!.close(), second!.close()]);
  });

  test("one stops: callers go on with the other, instances come back to it when it does", async () => {
    const gateways = [await startGateway(), await startGateway()] as const;
    await announceTo(gateways, 1).ready;
    const resolver = await resolverOf(...gateways);
    await eventually(() => expect(numbers(resolver)).toEqual([1]));
    const fewest = watchForLosses(resolver);
    await gateways[0].server.close();
    await gateways[0].registry.close();
    announceTo([gateways[1]], 2);
    await eventually(() => expect(numbers(resolver)).toEqual([1, 2]));
    const again = await startGateway({ address: gateways[0].address });
    await eventually(() => expect(again.registry.instances().size).toBe(2));
    expect(fewest()).toBe(1);
  });
});

describe("when Redis", () => {
  test("is flushed, everybody is back within a beat, and nobody was lost meanwhile", async () => {
    const gateways = [await startGateway(), await startGateway()] as const;
    for (const n of [1, 2, 3]) await announceTo(gateways, n).ready;
    const resolver = await resolverOf(gateways[1]);
    await eventually(() => expect(numbers(resolver)).toEqual([1, 2, 3]));
    const fewest = watchForLosses(resolver);
    const epoch = gateways[0].registry.revision().split("/")[0];
    await redis.flush();
    const beginMs = performance.now();
    const store = createRedisStore({ url: redis.url, keyPrefix, leaseMs: shortLeaseMs });
    await eventually(async () => expect((await store.snapshot()).instances).toHaveLength(3));
    expect(performance.now() - beginMs).toBeLessThan(beatIntervalMs(shortLeaseMs) * 1.1 + 300);
    await store.close();
    await eventually(() => expect(gateways[1].registry.revision().split("/")[0]).not.toBe(epoch));
    expect(fewest()).toBe(3);
  });

  test.each([
    ["dies and comes back empty", () => redis.kill(), () => redis.start()],
    ["hangs", () => Promise.resolve(redis.freeze()), () => Promise.resolve(redis.thaw())],
  ])("%s, nobody is lost, and newcomers are taken", async (_, goAway, comeBack) => {
    const gateways = [await startGateway(), await startGateway()] as const;
    for (const n of [1, 2]) await announceTo(gateways, n).ready;
    const resolver = await resolverOf(gateways[1]);
    await eventually(() => expect(numbers(resolver)).toEqual([1, 2]));
    const fewest = watchForLosses(resolver);
    await goAway();
    try {
      await eventually(() => expect(gateways[1].registry.staleMs()).toBeGreaterThan(shortLeaseMs));
      await announceTo(gateways, 3).ready;
      await eventually(() => expect(numbers(resolver)).toEqual([1, 2, 3]));
    } finally {
      await comeBack();
    }
    await eventually(async () => {
      for (const { registry } of gateways) expect(registry.staleMs()).toBe(0);
      const store = createRedisStore({ url: redis.url, keyPrefix, leaseMs: shortLeaseMs });
      const { instances } = await store.snapshot();
      await store.close();
      expect(instances).toHaveLength(3);
    });
    expect(fewest()).toBe(2);
  });

  test("is away, a gateway that starts serves from its disk", async () => {
    const folder = await mkdtemp(join(tmpdir(), "heddle-registry-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const snapshotFile = join(folder, "registry.json");
    const before = await startGateway({ snapshotFile });
    await before.registry.write({ kind: "register", instance: instanceOf(1) });
    await before.registry.close();
    await redis.kill();
    try {
      const beginMs = performance.now();
      const after = await startGateway({ snapshotFile });
      expect(numbers(await resolverOf(after))).toEqual([1]);
      expect(performance.now() - beginMs).toBeLessThan(2000);
      const { client, close } = dialRegistry(after.address);
      expect((await client.resolve({ service: echo })).stale).toBe(true);
      expect((await client.heartbeat({ instanceId: idOf(1) })).lease?.ttl?.seconds).toBe(3n);
      await close();
    } finally {
      await redis.start();
    }
  });
});
